//! A member's private keys and the request by which it asks to be admitted.
//!
//! Both keys are made on the member's own machine and never leave it. The Ed25519 key is the TLS key and signs jobs
//! and sealed shares; the X25519 key opens what is sealed to the member, and the first endorses it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::certificate::Certificate;
use crate::member::Role;
use crate::roster::Roster;
use crate::transcript::transcript;
use crate::{name, secret_file};

/// The first bytes of an Ed25519 private key in PKCS #8 (RFC 8410, section 7); the 32-byte seed follows.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why an identity cannot be made, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// The key file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file is readable by others.
    #[error("{path} can be read by other users: run chmod 600 on it")]
    Permissions {
        /// The key file.
        path: PathBuf,
    },
    /// The key file does not hold two keys. What it holds is not repeated here, as it may be secret.
    #[error(
        "{path} is no identity: it must hold `signing` and `sealing`, 64 hexadecimal digits each"
    )]
    Malformed {
        /// The key file.
        path: PathBuf,
    },
    /// The name cannot be a member's.
    #[error("{0}")]
    Name(String),
    /// The certificate request cannot be made.
    #[error("cannot make the certificate request: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The roster has no certificate for this key.
    #[error(
        "the roster of {consortium} has no member with this key: send your request file to the coordinator's operator and use the roster that comes back"
    )]
    NotInRoster {
        /// The consortium's name.
        consortium: String,
    },
}

/// A member's two private keys.
pub struct Identity {
    signing: SigningKey,
    sealing: StaticSecret,
}

/// The key file: seeds as hexadecimal digits.
#[derive(Deserialize, Zeroize)]
#[zeroize(drop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    signing: String,
    sealing: String,
}

impl Identity {
    /// New keys from the operating system's randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seeds = Zeroizing::new([[0; 32]; 2]);
        getrandom::fill(seeds.as_flattened_mut()).map_err(IdentityError::Randomness)?;
        Ok(Self::from_seeds(&seeds[0], &seeds[1]))
    }

    fn from_seeds(signing: &[u8; 32], sealing: &[u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(signing),
            sealing: StaticSecret::from(*sealing),
        }
    }

    /// Writes the keys to a new file with mode 0600. An existing file is an error and stays as it is.
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        let digits = |secret: &[u8; 32]| Zeroizing::new(hex::encode(secret));
        let text = Zeroizing::new(format!(
            "# Private keys. They never leave this machine; whoever reads them can act in your name.\n\
             signing = \"{}\"\nsealing = \"{}\"\n",
            *digits(self.signing.as_bytes()),
            *digits(self.sealing.as_bytes())
        ));
        secret_file::create(path, text.as_bytes()).map_err(|source| IdentityError::File {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the keys that [`Self::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let file_error = |source| IdentityError::File {
            path: path.to_owned(),
            source,
        };
        if secret_file::is_exposed(path).map_err(file_error)? {
            return Err(IdentityError::Permissions {
                path: path.to_owned(),
            });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(file_error)?);
        Self::parse(&text).ok_or_else(|| IdentityError::Malformed {
            path: path.to_owned(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let file: KeyFile = toml::from_str(text).ok()?;
        let mut seeds = Zeroizing::new([[0; 32]; 2]);
        hex::decode_to_slice(&file.signing, &mut seeds[0]).ok()?;
        hex::decode_to_slice(&file.sealing, &mut seeds[1]).ok()?;
        Some(Self::from_seeds(&seeds[0], &seeds[1]))
    }

    /// The public key that the member's certificate holds.
    pub fn public_key(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    /// The certificate that `roster` holds for this identity, be it a member's or the coordinator's.
    pub fn certificate<'r>(&self, roster: &'r Roster) -> Result<&'r Certificate, IdentityError> {
        let key = self.public_key();
        roster
            .certificates()
            .find(|certificate| *certificate.key() == key)
            .ok_or_else(|| IdentityError::NotInRoster {
                consortium: roster.name().to_owned(),
            })
    }

    /// The request to be admitted as `name`. A party says at which `host:port` the others reach its data plane; a
    /// client listens nowhere and gives `None`.
    pub fn request(&self, name: &str, address: Option<&str>) -> Result<Request, IdentityError> {
        name::check(name).map_err(IdentityError::Name)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let csr = params.serialize_request(&self.key_pair()?)?;
        let sealing_key = PublicKey::from(&self.sealing).to_bytes();
        Ok(Request {
            name: name.to_owned(),
            role: address.map_or(Role::Client, |_| Role::Party),
            address: address.map(str::to_owned),
            certificate_request: csr.pem()?,
            sealing_key: hex::encode(sealing_key),
            endorsement: hex::encode(self.sign(&endorsed(name, &sealing_key))),
        })
    }

    /// Signs bytes that [`transcript`] made.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signing.sign(message).to_bytes().to_vec()
    }

    pub(crate) fn sealing_secret(&self) -> &StaticSecret {
        &self.sealing
    }

    /// The TLS key as rustls takes it.
    pub(crate) fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from([&PKCS8_PREFIX, self.signing.as_bytes().as_slice()].concat())
    }

    /// The TLS key as rcgen takes it.
    pub(crate) fn key_pair(&self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::from_pkcs8_der_and_sign_algo(&self.pkcs8(), &PKCS_ED25519)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// What a future member sends to the coordinator's operator. All of it is public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name that the member wants to bear.
    pub name: String,
    /// Whether it takes part in sessions.
    pub role: Role,
    /// For a party, the `host:port` at which the others reach it.
    pub address: Option<String>,
    /// A PKCS #10 request in PEM form, which proves that the member holds the key.
    pub certificate_request: String,
    /// The X25519 key to seal to, in hexadecimal digits.
    pub sealing_key: String,
    /// The identity key's signature of name and sealing key, in hexadecimal digits.
    pub endorsement: String,
}

impl Request {
    /// The text of the request file.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// Reads a request file; [`crate::authority::Authority::admit`] checks what it says.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// The bytes that an endorsement signs.
pub(crate) fn endorsed(name: &str, sealing_key: &[u8; 32]) -> Vec<u8> {
    transcript("tacit v1 sealing key", &[name.as_bytes(), sealing_key])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_file_and_are_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let identity = Identity::generate().unwrap();
        identity.save(&path).unwrap();
        let loaded = Identity::load(&path).unwrap();
        assert_eq!(loaded.public_key(), identity.public_key());
        assert_eq!(loaded.sealing.as_bytes(), identity.sealing.as_bytes());
        assert_eq!(format!("{identity:?}"), "Identity(redacted)");
        assert!(matches!(
            identity.save(&path),
            Err(IdentityError::File { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        Identity::generate().unwrap().save(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_key_file_is_named_but_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        secret_file::create(&path, b"signing = \"5ec4e7\"\nsealing = 1").unwrap();
        let error = Identity::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("identity.key") && !error.contains("5ec4e7"),
            "{error}"
        );
    }

    #[test]
    fn requests_read_back() {
        let identity = Identity::generate().unwrap();
        for address in [Some("north.example:7001"), None] {
            let request = identity.request("north", address).unwrap();
            let text = request.to_toml().unwrap();
            assert_eq!(Request::from_toml(&text).unwrap(), request);
        }
        assert!(matches!(
            identity.request("No rth", None),
            Err(IdentityError::Name(_))
        ));
    }
}
