//! The first frame each way on a connection: which session it belongs to, and who speaks.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Marks a connection of this protocol and its version, which goes up with every change of messages or of the order in which
/// parties wait for them.
const MAGIC: &[u8; 8] = b"tacit/2\n";

/// Longest name of a member, in bytes.
const MAX_NAME: usize = 255;

/// One attempt at one job.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 32]);

impl SessionId {
    /// What clients call for while the job serves.
    #[must_use]
    pub fn service(job: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tacit service v1");
        hash.update(job);
        Self(hash.finalize().into())
    }

    /// The session of this attempt at this job.
    #[must_use]
    pub fn new(job: &str, attempt: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tacit session v1");
        hash.update((job.len() as u64).to_le_bytes());
        hash.update(job);
        hash.update(attempt.to_le_bytes());
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", hex::encode(&self.0[..8]))
    }
}

/// The session a connection is for and the member that speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// The session.
    pub(super) session: SessionId,
    /// The sender's name in the roster.
    pub(super) name: String,
}

impl Hello {
    /// Longest encoding.
    pub(super) const MAX: usize = MAGIC.len() + 32 + MAX_NAME;

    /// magic ‖ session ‖ name.
    pub(super) fn encode(&self) -> Bytes {
        [MAGIC, &self.session.0[..], self.name.as_bytes()]
            .concat()
            .into()
    }

    /// Reads what [`Hello::encode`] wrote; `None` if these bytes are something else.
    pub(super) fn decode(frame: &[u8]) -> Option<Self> {
        let (session, name) = frame.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty() && name.len() <= MAX_NAME)?;
        Some(Self {
            session: SessionId(*session),
            name: name.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_reads_back_and_anything_else_is_refused() {
        let hello = Hello {
            session: SessionId::new("job", 1),
            name: "north".into(),
        };
        let bytes = hello.encode();
        assert_eq!(Hello::decode(&bytes), Some(hello));
        assert_eq!(Hello::decode(b""), None);
        assert_eq!(Hello::decode(&bytes[..40]), None); // no name
        assert_eq!(Hello::decode(&bytes[..30]), None); // half a session
        assert_eq!(Hello::decode(&bytes[1..]), None);
        assert_eq!(Hello::decode(&[&bytes[..], &[0xff]].concat()), None);
    }

    #[test]
    fn sessions_differ_by_job_and_attempt() {
        let ids = [
            SessionId::new("a", 1),
            SessionId::new("a", 2),
            SessionId::new("b", 1),
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
