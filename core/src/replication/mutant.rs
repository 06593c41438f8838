//! Known bugs, put in on purpose, so that the simulator can show that it would find them.
//!
//! Behind the feature `mutants`, which only tests turn on: without it every check for one is the
//! constant `false`.

#[cfg(feature = "mutants")]
use std::{fmt, str::FromStr};

#[cfg(feature = "mutants")]
use thiserror::Error;

/// Declares the mutants, each once: variant, name, and what it breaks.
#[cfg(feature = "mutants")]
macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A known bug, put in on purpose, so that the simulator can show that it would find it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        impl Mutant {
            /// Every mutant there is.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$variant),*];

            /// The name, in kebab case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)*
                }
            }
        }
    };
}

#[cfg(feature = "mutants")]
mutants! {
    /// A dispatch sent again after a reconnect is applied again. Breaks I3.
    NoDeduplication = "no-deduplication",
    /// A snapshot holds one entry more than its version says. Breaks I1 and I2.
    SnapshotOneLate = "snapshot-one-late",
    /// A resumed link begins one entry too far. Breaks I7: the peer cuts it, each time anew.
    ResumeOffByOne = "resume-off-by-one",
    /// A version of another life resumes as if it were of this one. Breaks I1.
    StaleEpoch = "stale-epoch",
    /// A dispatch resolves before its entry is applied here. Breaks I6.
    EarlyAnswer = "early-answer",
    /// Digests are never compared: a copy that went wrong stays wrong. Breaks I2 and I7, where a
    /// copy goes wrong at all.
    DigestSkipped = "digest-skipped",
    /// The sequencer orders whatever it has no outcome for, whether or not one before it is missing
    /// or it came before; relays let dispatches of an old attachment through, for either guard
    /// alone hides the want of the other. Breaks I5, and I3.
    SessionGap = "session-gap",
    /// What became of an ordered dispatch is forgotten at once, though its origin still awaits it:
    /// one sent again is answered as one that was refused. Breaks I4.
    OutcomeForgotten = "outcome-forgotten",
    /// A relay heals from its own copy, bad as it is: it takes it for right, answers heals from
    /// below with it, and asks for none itself. Breaks I2 and I7.
    RelayHealsFromItself = "relay-heals-from-itself",
    /// Epochs are compared by number, in place of the random id: two lives that began from one
    /// backup pass for each other. Breaks I1.
    LineageByNumber = "lineage-by-number",
    /// The entries up to a snapshot's version are not dropped behind it: the newest of them is
    /// applied twice. Breaks I1 and I2.
    SnapshotRaced = "snapshot-raced",
    /// An answer counts whatever life of the sequencer it comes from. Breaks I3 and I6: `Ok` for
    /// what was rolled back.
    AnswerOfAnyLife = "answer-of-any-life",
    /// Subscribers are not told that the state was replaced. Breaks I10.
    JumpUntold = "jump-untold",
    /// A snapshot at the very version of this copy is taken for the same state: a copy that asks
    /// to be healed stays as it is. Breaks I2 and I7.
    HealSkipped = "heal-skipped",
}

#[cfg(feature = "mutants")]
impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no mutant has.
#[cfg(feature = "mutants")]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no mutant is called `{0}`; one of: {names}", names = names())]
pub struct UnknownMutant(String);

#[cfg(feature = "mutants")]
fn names() -> String {
    Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(feature = "mutants")]
impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Mutant::ALL.iter().find(|mutant| mutant.name() == name);
        found.copied().ok_or_else(|| UnknownMutant(name.to_owned()))
    }
}

/// Whether a test put this bug in; always false in a build without the feature `mutants`.
macro_rules! mutant {
    ($config:expr, $name:ident) => {{
        #[cfg(feature = "mutants")]
        let put_in = $config.has($crate::replication::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let put_in = false;
        put_in
    }};
}
pub(super) use mutant;

#[cfg(all(test, feature = "mutants"))]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_found_by_its_name_and_a_wrong_name_lists_them() {
        for mutant in Mutant::ALL {
            assert_eq!(mutant.to_string().parse(), Ok(*mutant));
        }
        let error = "nonsense".parse::<Mutant>().unwrap_err().to_string();
        assert!(error.contains("`nonsense`") && error.contains("session-gap"), "{error}");
    }
}
