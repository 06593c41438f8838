//! The questions that follow dispatches upwards, to learn whether these have passed.
//!
//! A probe takes the way of the dispatches before it, and its answer the way of their answers. When
//! the answer to a probe is here, what was sent before the probe has either been answered or was
//! lost, and only what was lost is a reason to send anything again.

/// The number of a probe. Dispatches are numbered from 1, so no sequencer ever applies it.
pub(super) const PROBE: u64 = 0;

/// The probes of one session, over one attachment.
///
/// Several may be under way. All of one round ask about the same dispatches, so the first answer
/// ends the round and the others are passed over.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// One is to be sent.
    pub(super) due: bool,
    /// The dispatches below this number were sent before the first probe of the round.
    until: Option<u64>,
    /// The probes of this round.
    sent: u64,
    /// The probes of earlier rounds without an answer yet.
    stale: u64,
}

impl Probes {
    /// One was sent, after all dispatches below `until`.
    pub(super) fn sent(&mut self, until: u64) {
        self.due = false;
        self.sent += 1;
        self.until.get_or_insert(until);
    }

    /// Ends the round without an answer: what it asked about is sent again anyway.
    pub(super) fn end(&mut self) {
        (self.due, self.until) = (false, None);
        self.stale += std::mem::take(&mut self.sent);
    }

    /// Takes an answer. Returns the number below which all has passed, for the first of a round.
    pub(super) fn answered(&mut self) -> Option<u64> {
        if self.stale > 0 {
            self.stale -= 1;
            return None;
        }
        let until = self.until.take()?;
        self.stale = std::mem::take(&mut self.sent).saturating_sub(1);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_of_a_round_is_about_what_was_sent_before_its_first_probe() {
        let mut probes = Probes::default();
        probes.sent(5);
        probes.sent(9);
        assert_eq!(probes.answered(), Some(5));
        assert_eq!(probes.answered(), None, "the second of that round");
        probes.sent(12);
        assert_eq!(probes.answered(), Some(12));
    }

    #[test]
    fn an_answer_of_a_round_that_was_ended_is_passed_over() {
        let mut probes = Probes::default();
        probes.sent(5);
        probes.sent(6);
        probes.end();
        probes.sent(9);
        assert_eq!([probes.answered(), probes.answered()], [None, None]);
        assert_eq!(probes.answered(), Some(9));
    }
}
