//! What a client can do about a refusal by a service of encrypted inference, for programs: metadata beside the words of a
//! gRPC status. A client that does not know it has the words.

use std::time::Duration;

use tonic::Status;
use tonic::metadata::MetadataValue;

/// The service does not have the evaluation key of a question, be it that it never had it or no longer does.
const SEND_KEY: &str = "tacit-send-key";
/// After how many milliseconds a service that is full may be asked again.
const ASK_AGAIN: &str = "tacit-ask-again-ms";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Send the evaluation key, and ask again.
    SendKey,
    /// Ask again after this time.
    AskAgain(Duration),
}

impl Remedy {
    /// The status with this remedy.
    #[must_use]
    pub fn to(self, mut status: Status) -> Status {
        let metadata = status.metadata_mut();
        match self {
            Self::SendKey => metadata.insert(SEND_KEY, MetadataValue::from_static("yes")),
            Self::AskAgain(after) => {
                let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                metadata.insert(ASK_AGAIN, millis.into())
            }
        };
        status
    }

    /// The remedy of a status, if it names one.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let metadata = status.metadata();
        if metadata.contains_key(SEND_KEY) {
            return Some(Self::SendKey);
        }
        let millis = metadata.get(ASK_AGAIN)?.to_str().ok()?.parse().ok()?;
        Some(Self::AskAgain(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_read_as_it_was_written_and_nothing_else_is_one() {
        let status = || Status::resource_exhausted("full");
        for remedy in [
            Remedy::SendKey,
            Remedy::AskAgain(Duration::from_millis(1500)),
        ] {
            assert_eq!(Remedy::of(&remedy.to(status())), Some(remedy));
        }
        assert_eq!(Remedy::of(&status()), None);
        for wrong in ["", "-1", "soon", "99999999999999999999"] {
            let mut status = status();
            let value = wrong.parse().unwrap();
            status.metadata_mut().insert(ASK_AGAIN, value);
            assert_eq!(Remedy::of(&status), None, "{wrong:?}");
        }
    }
}
