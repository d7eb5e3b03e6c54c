//! What ends a session: a proof or an opening that did not succeed.
//!
//! After the first coin of a proof a cheater can compute whether its error would pass, and fall silent where it would not. So
//! whatever goes wrong from there on, a time-out and a broken link included, counts as a failed proof (protocols-malicious, section
//! 7.5): it is counted, the keys are wiped, and nothing of the session is ever proved or opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tacit_mpc::{Error, PartyId};

/// A party's count of sessions that ended in a failed proof or opening, a silence after a challenge included. Its clones count
/// together: a party gives one to each of its engines and shows it to its operator, because 2^-46 is the error of one session,
/// and N failures that are answered by starting again make N·2^-46.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<AtomicU64>);

impl Failures {
    /// Failed sessions so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The error as it surfaces: what a peer did or failed to do behind a challenge is [`Error::CheckFailed`], about `what`.
///
/// A message that is malformed or out of step convicts its sender, because links are authenticated. A silent or broken link
/// convicts nobody: the peer may itself have stopped over a lie of the third party.
pub(super) fn surfaced(e: Error, what: &str, me: PartyId) -> Error {
    let (how, suspects, broken_off) = match &e {
        Error::CheckFailed {
            what,
            suspects,
            broken_off,
        } => (what.clone(), suspects.clone(), *broken_off),
        Error::Net(_) => (
            format!("{e}, after a challenge was known"),
            (0..3).filter(|&p| p != me).collect(),
            true,
        ),
        Error::PeerMisbehaved { peer, .. }
        | Error::Desync { peer, .. }
        | Error::Settings { peer, .. }
        | Error::KeyConfirmation { peer } => (e.to_string(), vec![*peer], false),
        Error::Shape { .. }
        | Error::Exhausted { .. }
        | Error::Reuse { .. }
        | Error::KeysWiped
        | Error::Device { .. }
        | Error::Parties { .. }
        | Error::Part { .. }
        | Error::Randomness(_) => return e,
    };
    Error::CheckFailed {
        what: format!("{what}: {how}"),
        suspects,
        broken_off,
    }
}

#[cfg(test)]
mod tests {
    use tacit_mpc::net;

    use super::*;

    fn suspects(e: Error) -> Option<(Vec<PartyId>, String)> {
        match surfaced(e, "the proof of run 3", 1) {
            Error::CheckFailed { what, suspects, .. } => Some((suspects, what)),
            _ => None,
        }
    }

    #[test]
    fn evidence_names_as_many_as_it_convicts() {
        let malformed = Error::PeerMisbehaved {
            peer: 2,
            what: "its message of gate 4 has 3 bytes instead of 8".into(),
        };
        let (who, what) = suspects(malformed).unwrap();
        assert_eq!(who, [2]);
        assert!(what.contains("run 3") && what.contains("gate 4"), "{what}");
        let silent = Error::Net(net::Error::Timeout { peer: 2 });
        let (who, what) = suspects(silent).unwrap();
        assert_eq!(who, [0, 2]);
        assert!(what.contains("party 2"), "{what}");
        // Silence is told from what was said, and stays it.
        let silence = || surfaced(Error::Net(net::Error::Timeout { peer: 2 }), "a proof", 1);
        let malformed = Error::PeerMisbehaved {
            peer: 2,
            what: String::new(),
        };
        for (e, silent) in [
            (silence(), true),
            (surfaced(silence(), "a run", 1), true),
            (surfaced(malformed, "a proof", 1), false),
        ] {
            assert!(
                matches!(e, Error::CheckFailed { broken_off, .. } if broken_off == silent),
                "{e:?}"
            );
        }
        let e = Error::CheckFailed {
            what: "the coin".into(),
            suspects: vec![0],
            broken_off: false,
        };
        assert_eq!(surfaced(e, "a proof", 1).culprit(), Some(0));
        assert!(suspects(Error::Exhausted { what: "checks" }).is_none());
    }
}
