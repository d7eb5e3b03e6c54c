//! How keys, requests and responses travel: a line that names what follows and its version, the parameter set's name,
//! the key's id, the body, and a checksum over all of it.
//!
//! The checksum (8 bytes of SHA-256) finds damage, not malice: whoever can change a message can also make a new
//! checksum. Links are authenticated below (TLS).

use sha2::{Digest, Sha256};

use crate::Error;
use crate::params::Params;

/// Which key something belongs to: the leading 16 bytes of a SHA-256 over the evaluation key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) [u8; 16]);

impl KeyId {
    /// Of an evaluation key's body.
    pub(crate) fn of(params: &Params, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tacit tfhe key id 1\n");
        hash.update([params.name().len() as u8]);
        hash.update(params.name());
        hash.update(body);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }

    /// Its bytes, for names of files and of database rows.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a message is.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// In words, for errors.
    pub(crate) what: &'static str,
    /// Its first line, with the version of its format.
    pub(crate) header: &'static str,
}

const CHECKSUM: usize = 8;
/// Names of parameter sets are short.
const LONGEST_NAME: usize = 32;

impl Kind {
    /// How long a message with a body of this many bytes is.
    pub(crate) fn len(self, params: &Params, body: usize) -> usize {
        self.header.len() + 2 + params.name().len() + 16 + body + CHECKSUM
    }

    /// The message.
    pub(crate) fn write(self, params: &Params, key: KeyId, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len(params, body.len()));
        bytes.extend_from_slice(self.header.as_bytes());
        bytes.push(b'\n');
        bytes.push(params.name().len() as u8);
        bytes.extend_from_slice(params.name().as_bytes());
        bytes.extend_from_slice(&key.0);
        bytes.extend_from_slice(body);
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum[..CHECKSUM]);
        bytes
    }

    /// The parameter set, the key's id and the body.
    ///
    /// # Errors
    /// If it is something else, of another version or set, cut off or damaged.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<(&'static Params, KeyId, &[u8]), Error> {
        let (params, rest) = self.start(bytes)?;
        if rest.len() < 16 + CHECKSUM {
            return Err(self.short(bytes));
        }
        let (id, rest) = rest.split_at(16);
        let mut key = KeyId([0; 16]);
        key.0.copy_from_slice(id);
        Ok((params, key, &rest[..rest.len() - CHECKSUM]))
    }

    /// The parameter set that a message is for, and what comes after its name. The rest need not be there yet.
    ///
    /// # Errors
    /// If it is something else, or of another version or set.
    pub(crate) fn start(self, bytes: &[u8]) -> Result<(&'static Params, &[u8]), Error> {
        let wrong = || Error::Header {
            wanted: self.what,
            header: self.header,
        };
        let rest = bytes
            .strip_prefix(self.header.as_bytes())
            .ok_or_else(wrong)?;
        let rest = rest.strip_prefix(b"\n").ok_or_else(wrong)?;
        let (&name_len, rest) = rest.split_first().ok_or_else(|| self.short(bytes))?;
        let name_len = usize::from(name_len);
        if name_len > LONGEST_NAME {
            return Err(Error::Damaged { what: self.what });
        }
        let (name, rest) = rest
            .split_at_checked(name_len)
            .ok_or_else(|| self.short(bytes))?;
        let name = str::from_utf8(name).map_err(|_| Error::Damaged { what: self.what })?;
        let params = Params::by_name(name).ok_or_else(|| Error::UnknownParams {
            what: self.what,
            found: name.escape_default().to_string(),
        })?;
        Ok((params, rest))
    }

    fn short(self, bytes: &[u8]) -> Error {
        Error::Length {
            what: self.what,
            found: bytes.len(),
            wanted: bytes.len() + 1,
        }
    }

    /// Whether the checksum is that of the message: after its length is known to be right.
    pub(crate) fn verify(self, bytes: &[u8]) -> Result<(), Error> {
        let (body, sum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM));
        let right = Sha256::digest(body)[..CHECKSUM] == *sum;
        right
            .then_some(())
            .ok_or(Error::Damaged { what: self.what })
    }
}
