//! What can go wrong in a session, and whose doing it was.

use crate::{PartyId, net, session::Label};

/// A session failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A link failed; the inner error names the peer.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// A peer sent what the protocol does not allow.
    #[error("party {peer} misbehaved: {what}")]
    PeerMisbehaved {
        /// The peer.
        peer: PartyId,
        /// What it did.
        what: String,
    },
    /// A peer is at another place of the program.
    #[error("party {peer} is out of step: expected a message of {want}, got one of {got}")]
    Desync {
        /// The peer.
        peer: PartyId,
        /// The step this party is at.
        want: Label,
        /// The step the message belongs to.
        got: Label,
    },
    /// Two parties did not derive the same key: another session, program, roster, or somebody in between.
    #[error(
        "key confirmation with party {peer} failed: its session, program or roster differs from ours"
    )]
    KeyConfirmation {
        /// The peer.
        peer: PartyId,
    },
    /// A peer runs the same program with other settings.
    #[error(
        "party {peer} runs with another {what} ({theirs}) than this party ({ours}): start all parties alike"
    )]
    Settings {
        /// The peer.
        peer: PartyId,
        /// Which setting.
        what: &'static str,
        /// Its value here.
        ours: String,
        /// Its value there.
        theirs: String,
    },
    /// The session has another number of parties than what is run in it needs.
    #[error("this session has {have} parties, and what is run in it needs {need}")]
    Parties {
        /// Parties of the session.
        have: usize,
        /// How many it takes, in words.
        need: &'static str,
    },
    /// A party was given a part that it may not or cannot play.
    #[error("party {party} {what}")]
    Part {
        /// The party.
        party: PartyId,
        /// Why not, and what to do.
        what: &'static str,
    },
    /// The device that computes local products failed.
    #[error("{device}: {why}")]
    Device {
        /// Which,
        device: String,
        /// why, and what to do.
        why: String,
    },
    /// Operand shapes do not fit.
    #[error("{op}: shapes {left:?} and {right:?} do not fit")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Shape of the first operand.
        left: Vec<usize>,
        /// Shape of the second operand.
        right: Vec<usize>,
    },
    /// An address space is used up; the session must end and a new one begin.
    #[error("the session's {what} are used up: start a new session")]
    Exhausted {
        /// Which addresses.
        what: &'static str,
    },
    /// An address was about to be used twice. This is a defect of the caller and would break privacy.
    #[error("{label} was already run in this invocation: an address is never used twice")]
    Reuse {
        /// The step.
        label: Label,
    },
    /// A check that protects results and inputs failed: somebody cheated. The session is over and nothing of it was given out.
    #[error(
        "cheating was found in {what}; one of the parties {suspects:?} did it. The session is over: do not start again with the same three before this is understood"
    )]
    CheckFailed {
        /// What was checked.
        what: String,
        /// The parties one of whom cheated.
        suspects: Vec<PartyId>,
        /// Whether nothing wrong was said: a link fell silent or broke where only a cheater gains by it.
        broken_off: bool,
    },
    /// The keys of this session were wiped: nothing more can be drawn from them.
    #[error("the keys of this session were wiped after a check that failed: start a new session")]
    KeysWiped,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(String),
}

impl Error {
    /// The party to blame, where there is one.
    #[must_use]
    pub fn culprit(&self) -> Option<PartyId> {
        match self {
            Self::Net(e) => Some(e.peer()),
            Self::PeerMisbehaved { peer, .. }
            | Self::Desync { peer, .. }
            | Self::Settings { peer, .. }
            | Self::KeyConfirmation { peer } => Some(*peer),
            Self::CheckFailed { suspects, .. } => match suspects[..] {
                [culprit] => Some(culprit),
                _ => None,
            },
            Self::Shape { .. }
            | Self::Parties { .. }
            | Self::Part { .. }
            | Self::Exhausted { .. }
            | Self::Reuse { .. }
            | Self::KeysWiped
            | Self::Device { .. }
            | Self::Randomness(_) => None,
        }
    }
}

/// Result of a session's step.
pub type Result<T> = std::result::Result<T, Error>;
