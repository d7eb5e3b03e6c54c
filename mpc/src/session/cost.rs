//! What a session has cost: bytes, messages, rounds; those of correlations apart.

/// What a session has cost this party so far. What making correlations took ([`crate::Strand::offline`]) is counted apart, except
/// for draws and multiplications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Payload bytes sent: what the protocols count.
    pub bytes: u64,
    /// Bytes of message headers sent besides.
    pub header_bytes: u64,
    /// Messages sent.
    pub messages: u64,
    /// Rounds: the length of the longest chain of messages that had to wait for each other.
    pub rounds: u64,
    /// Words drawn from the keys shared with the others, in both phases.
    pub drawn: u64,
    /// Multiplications inside of local matrix products and convolutions, in both phases.
    pub multiplications: u64,
    /// What was sent for correlations that depend on nobody's data.
    pub offline: Offline,
}

/// What a session has cost this party for correlated randomness, which could be made before anything secret is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offline {
    /// Payload bytes sent.
    pub bytes: u64,
    /// Bytes of message headers sent besides.
    pub header_bytes: u64,
    /// Messages sent.
    pub messages: u64,
    /// Rounds, if the correlations of all gates are made at once: the longest chain of messages for one of them.
    pub rounds: u64,
}

impl Cost {
    /// What came in between an earlier state of the counts and this one; the rounds of correlations are a maximum, not a sum, and
    /// stay.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let (now, then) = (self.offline, before.offline);
        Self {
            bytes: self.bytes - before.bytes,
            header_bytes: self.header_bytes - before.header_bytes,
            messages: self.messages - before.messages,
            rounds: self.rounds.saturating_sub(before.rounds),
            drawn: self.drawn - before.drawn,
            multiplications: self.multiplications - before.multiplications,
            offline: Offline {
                bytes: now.bytes - then.bytes,
                header_bytes: now.header_bytes - then.header_bytes,
                messages: now.messages - then.messages,
                rounds: now.rounds,
            },
        }
    }
}
