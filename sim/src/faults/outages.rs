//! Times at which processes are down or stand still, as faults plan it, and faults that collide.
//!
//! A fault cannot strike a process that another one has killed, nor stop one that stands still:
//! nothing comes of it. A process that stands still may be killed, which ends the pause, and a
//! master while a worker of its is down.
//!
//! At a link, two faults of one kind at once could not be told apart, and one that begins while the
//! link is cut has nothing to strike. Cuts and blackholes may overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{FaultSpec, Halt, Kind, SpecTarget};

/// A process is down, or stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// The process; with a master that is killed, its workers are down too.
    pub(crate) node: String,
    /// The beginning.
    pub(crate) from: Duration,
    /// The end; `None` for the end of the run.
    pub(crate) until: Option<Duration>,
    /// Its state meanwhile.
    pub(crate) halt: Halt,
    /// The position of the fault in the file.
    pub(crate) entry: usize,
}

impl Outage {
    /// Returns whether it lasts at `at`; the beginning counts.
    fn covers(&self, at: Duration) -> bool {
        at == self.from || self.until.is_none_or(|until| at < until)
    }

    /// Returns whether another one may begin meanwhile.
    fn bears(&self, other: &Outage) -> bool {
        !self.covers(other.from) || (self.halt == Halt::Still && other.halt == Halt::Down)
    }

    fn ends_workers(&self) -> bool {
        self.halt == Halt::Down && self.node.ends_with(MASTER)
    }

    fn cluster(&self) -> &str {
        self.node.split_once('.').map_or(&*self.node, |(cluster, _)| cluster)
    }
}

const MASTER: &str = ".master";

/// The pairs of outages of which the second cannot happen while the first lasts; one for each pair
/// of faults.
pub(crate) fn collisions(mut outages: Vec<Outage>) -> Vec<(Outage, Outage)> {
    outages.sort_by_key(|outage| (outage.from, outage.entry));
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    // The last outage of each process, by cluster.
    let mut last: BTreeMap<String, Vec<Outage>> = BTreeMap::new();
    for outage in outages {
        let of_cluster = last.entry(outage.cluster().to_owned()).or_default();
        let together = |other: &&Outage| other.node == outage.node || other.ends_workers();
        let first = of_cluster.iter().filter(together).find(|other| !other.bears(&outage));
        if let Some(first) = first {
            if known.insert((first.entry, outage.entry)) {
                found.push((first.clone(), outage));
            }
            continue;
        }
        of_cluster.retain(|other| other.node != outage.node);
        of_cluster.push(outage);
    }
    found
}

/// A fault strikes a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkStrike {
    /// The name of the link, or its position.
    pub(crate) link: String,
    /// The facts of the fault's kind.
    pub(crate) kind: &'static Kind,
    /// The beginning.
    pub(crate) from: Duration,
    /// The end.
    pub(crate) until: Duration,
    /// The position of the fault in the file.
    pub(crate) entry: usize,
}

/// The pairs of strikes of which the second has no effect of its own while the first lasts; one for
/// each pair of faults.
pub(crate) fn link_collisions(mut strikes: Vec<LinkStrike>) -> Vec<(LinkStrike, LinkStrike)> {
    strikes.sort_by_key(|strike| (strike.from, strike.entry));
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    // The strike of each kind that lasts longest, by link.
    let mut lasting: BTreeMap<(String, &str), LinkStrike> = BTreeMap::new();
    for strike in strikes {
        let key = |kind| (strike.link.clone(), kind);
        let first = [strike.kind.key, CUT].into_iter().filter_map(|kind| lasting.get(&key(kind)));
        let meets = |first: &&LinkStrike| {
            first.entry != strike.entry && (strike.from < first.until || strike.from == first.from)
        };
        if strike.kind.alone_at_link
            && let Some(first) = first.clone().find(meets)
        {
            if known.insert((first.entry, strike.entry)) {
                found.push((first.clone(), strike));
            }
            continue;
        }
        let known = lasting.entry(key(strike.kind.key)).or_insert_with(|| strike.clone());
        if known.until < strike.until {
            *known = strike;
        }
    }
    found
}

const CUT: &str = "cut";

/// Takes out faults of which nothing comes, since another one strikes the same process then.
/// Faults whose instants are drawn when the scenario is resolved are not looked at.
pub(crate) fn without_collisions(mut faults: Vec<FaultSpec>) -> Vec<FaultSpec> {
    loop {
        let outages = faults.iter().enumerate().filter_map(|(entry, fault)| {
            let spec = fault.spec();
            let halt = spec.kind().halt?;
            let SpecTarget::Node { node, .. } = spec.target() else { return None };
            let from = fault.when().at?.get();
            let until = spec.lasts().span().map(|lasts| from + lasts.get());
            Some(Outage { node: node.to_owned(), from, until, halt, entry })
        });
        let strikes = faults.iter().enumerate().filter_map(|(entry, fault)| {
            let spec = fault.spec();
            let from = fault.when().at?.get();
            let until = from + spec.lasts().span()?.get();
            let link = fault.link()?.to_string();
            Some(LinkStrike { link, kind: spec.kind(), from, until, entry })
        });
        let entry = match (collisions(outages.collect()).pop(), link_collisions(strikes.collect()))
        {
            (Some((_, second)), _) => second.entry,
            (None, mut of_links) => match of_links.pop() {
                Some((_, second)) => second.entry,
                None => return faults,
            },
        };
        faults.remove(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(node: &str, from: u64, until: u64, halt: Halt, entry: usize) -> Outage {
        let ms = Duration::from_millis;
        Outage { node: node.to_owned(), from: ms(from), until: Some(ms(until)), halt, entry }
    }

    fn collide(one: (&str, u64, u64, Halt), other: (&str, u64, u64, Halt)) -> bool {
        let one = outage(one.0, one.1, one.2, one.3, 0);
        let other = outage(other.0, other.1, other.2, other.3, 1);
        !collisions(vec![other, one]).is_empty()
    }

    #[test]
    fn what_strikes_a_process_that_is_down_collides() {
        let (kill, pause) = (Halt::Down, Halt::Still);
        let down = ("a.worker[1]", 10, 20, kill);
        assert!(collide(down, ("a.worker[1]", 10, 12, kill)), "both at once");
        assert!(collide(down, ("a.worker[1]", 15, 30, kill)));
        assert!(collide(down, ("a.worker[1]", 15, 16, pause)));
        assert!(!collide(down, ("a.master", 15, 30, kill)), "the master can be killed");
        assert!(collide(("a.master", 10, 20, kill), ("a.worker[2]", 15, 30, kill)));
        assert!(collide(("a.master", 10, 20, pause), ("a.master", 19, 30, pause)));
        assert!(!collide(down, ("a.worker[1]", 20, 30, kill)), "one after the other");
        assert!(!collide(down, ("a.worker[2]", 15, 30, kill)), "another worker");
        assert!(!collide(down, ("b.master", 15, 30, kill)), "another cluster");
        assert!(!collide(down, ("a.master", 15, 30, pause)), "a worker is not its master");
        assert!(
            !collide(("a.master", 10, 20, pause), ("a.master", 15, 30, kill)),
            "ends the pause"
        );
    }

    #[test]
    fn a_process_that_never_comes_back_cannot_be_struck_again() {
        let gone = Outage { until: None, ..outage("a.master", 10, 0, Halt::Down, 0) };
        let later = outage("a.master", 10_000, 10_001, Halt::Still, 1);
        assert_eq!(collisions(vec![gone, later]).len(), 1);
    }

    #[test]
    fn faults_of_one_kind_at_one_link_collide_and_so_does_one_that_begins_during_a_cut() {
        static DELAY: Kind = Kind::of_link("delay");
        static JITTER: Kind = Kind::of_link("jitter");
        static CUT: Kind = Kind::new("cut");
        let ms = Duration::from_millis;
        let strike = |link: &str, kind, from, until, entry| LinkStrike {
            link: link.to_owned(),
            kind,
            from: ms(from),
            until: ms(until),
            entry,
        };
        let first = strike("ab", &DELAY, 10, 20, 0);
        let collide =
            |first: &LinkStrike, second| !link_collisions(vec![second, first.clone()]).is_empty();
        assert!(collide(&first, strike("ab", &DELAY, 15, 30, 1)));
        assert!(!collide(&first, strike("ab", &DELAY, 20, 30, 1)));
        assert!(!collide(&first, strike("cd", &DELAY, 15, 30, 1)));
        assert!(!collide(&first, strike("ab", &JITTER, 15, 30, 1)));
        let cut = strike("ab", &CUT, 10, 20, 0);
        assert!(collide(&cut, strike("ab", &JITTER, 15, 30, 1)));
        assert!(!collide(&cut, strike("ab", &CUT, 15, 30, 1)));
        assert!(!collide(&strike("ab", &JITTER, 10, 20, 0), strike("ab", &CUT, 15, 30, 1)));
    }

    #[test]
    fn each_pair_of_faults_is_told_once_however_often_they_strike() {
        let every = |from: u64, entry| {
            (0..1_000).map(move |n| {
                outage("a.master", from + n * 100, from + n * 100 + 50, Halt::Down, entry)
            })
        };
        let found = collisions(every(0, 0).chain(every(25, 1)).collect());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.entry, found[0].1.entry), (0, 1));
    }
}
