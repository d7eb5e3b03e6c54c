//! Certificates of misbehaviour: evidence against a party that anybody with the roster can check, without trusting whoever
//! shows it.
//!
//! An honest party makes one [`Statement`] about each step of a session, and opens what it has committed to. So two signed
//! statements convict their signer if they are about one step of one session and differ, or if one is a commitment and the
//! other an opening that it does not fit. Nobody can convict an honest party without forging an Ed25519 signature or finding a
//! collision of SHA-256. Statements hold nothing secret.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::roster::Roster;
use crate::statement::{Statement, StatementError, Step, commitment};

/// Why a certificate convicts nobody.
#[derive(Debug, thiserror::Error)]
pub enum CertificateOfNothing {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no certificate.
    #[error("{path} is no certificate of misbehaviour: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: toml::de::Error,
    },
    /// A statement in it is not its party's.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// An honest party can have made both statements.
    #[error("the two statements do not contradict each other")]
    Consistent,
}

/// What a certificate shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// Who misbehaved.
    pub party: String,
    /// The session, as hexadecimal digits.
    pub session: String,
    /// What it did, as a sentence without its subject.
    pub what: &'static str,
}

/// Two signed statements that no honest party makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerMisbehaved {
    statements: [Statement; 2],
}

impl PeerMisbehaved {
    /// The certificate that these two make.
    ///
    /// # Errors
    /// They convict nobody.
    pub fn new(
        roster: &Roster,
        first: Statement,
        second: Statement,
    ) -> Result<Self, CertificateOfNothing> {
        let certificate = Self {
            statements: [first, second],
        };
        certificate.verify(roster)?;
        Ok(certificate)
    }

    /// Who is convicted, and of what.
    ///
    /// # Errors
    /// The certificate convicts nobody in this roster.
    pub fn verify(&self, roster: &Roster) -> Result<Conviction, CertificateOfNothing> {
        let [a, b] = &self.statements;
        a.verify(roster)?;
        b.verify(roster)?;
        if (a.party(), a.session()) != (b.party(), b.session()) {
            return Err(CertificateOfNothing::Consistent);
        }
        let what = match (a.step(), b.step()) {
            (s, t) if s == t && a.body() != b.body() => {
                "it said one thing to one party and another to the other"
            }
            (Step::Commitment, Step::Opening)
                if a.body() != commitment(b.session(), b.party(), b.body()) =>
            {
                "it opened another value than it had committed to"
            }
            _ => return Err(CertificateOfNothing::Consistent),
        };
        Ok(Conviction {
            party: a.party().to_owned(),
            session: hex::encode(a.session()),
            what,
        })
    }

    /// Reads a certificate; [`Self::verify`] then says whether it is one.
    ///
    /// # Errors
    /// The file cannot be read, or has another form.
    pub fn load(path: &Path) -> Result<Self, CertificateOfNothing> {
        let text = std::fs::read_to_string(path).map_err(|e| file(path, e))?;
        toml::from_str(&text).map_err(|source| CertificateOfNothing::Syntax {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes it to a new file.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CertificateOfNothing> {
        use std::io::Write;
        let text = toml::to_string(self).map_err(|e| file(path, std::io::Error::other(e)))?;
        std::fs::File::create_new(path)
            .and_then(|mut new| new.write_all(text.as_bytes()))
            .map_err(|e| file(path, e))
    }
}

fn file(path: &Path, source: std::io::Error) -> CertificateOfNothing {
    CertificateOfNothing::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consortium::fixture::members;
    use crate::identity::Identity;

    fn said(
        roster: &Roster,
        identity: &Identity,
        session: u8,
        step: Step,
        body: &[u8],
    ) -> Statement {
        Statement::sign(identity, roster, [session; 32], step, body).unwrap()
    }

    #[test]
    fn two_faces_and_broken_commitments_convict() {
        let (roster, identities) = members();
        let west = |step, body: &[u8]| said(&roster, &identities[1], 1, step, body);
        let kept = commitment(&[1; 32], "west", b"r");
        let cases = [
            (
                west(Step::Opening, b"r"),
                west(Step::Opening, b"s"),
                "one thing",
            ),
            (
                west(Step::Commitment, &kept),
                west(Step::Opening, b"s"),
                "another value",
            ),
        ];
        let dir = tempfile::tempdir().unwrap();
        for (k, (a, b, what)) in cases.into_iter().enumerate() {
            let path = dir.path().join(k.to_string());
            PeerMisbehaved::new(&roster, a, b)
                .unwrap()
                .save(&path)
                .unwrap();
            let shown = PeerMisbehaved::load(&path).unwrap();
            let conviction = shown.verify(&roster).unwrap();
            assert_eq!(conviction.party, "west");
            assert!(conviction.what.contains(what), "{conviction:?}");
            shown.save(&path).unwrap_err();
            let (others, _) = members();
            shown.verify(&others).unwrap_err();
        }
    }

    /// Whatever is taken from honest parties and put together convicts none of them.
    #[test]
    fn an_honest_party_is_not_convicted() {
        let (roster, identities) = members();
        let mut statements = Vec::new();
        for (identity, name) in identities.iter().zip(["north", "west", "south"]) {
            for session in [1, 2] {
                let r = format!("{name} {session}");
                let c = commitment(&[session; 32], name, r.as_bytes());
                statements.push(said(&roster, identity, session, Step::Commitment, &c));
                statements.push(said(
                    &roster,
                    identity,
                    session,
                    Step::Opening,
                    r.as_bytes(),
                ));
            }
        }
        for a in &statements {
            for b in &statements {
                PeerMisbehaved::new(&roster, a.clone(), b.clone()).unwrap_err();
            }
        }
    }

    #[test]
    fn a_changed_certificate_convicts_nobody() {
        let (roster, identities) = members();
        let west = |body: &[u8]| said(&roster, &identities[1], 1, Step::Opening, body);
        let certificate = PeerMisbehaved::new(&roster, west(b"r"), west(b"s")).unwrap();
        let text = toml::to_string(&certificate).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("certificate");
        let convicts = |text: &str| {
            std::fs::write(&path, text).unwrap();
            PeerMisbehaved::load(&path).and_then(|c| c.verify(&roster))
        };
        assert_eq!(convicts(&text).unwrap().party, "west");
        let changes = [
            ("west", "north"),
            ("\"opening\"", "\"commitment\""),
            ("body = \"72\"", "body = \"73\""),
            ("body = \"72\"", "body = \"74\""),
            ("0101", "0102"),
            ("party", "partly"),
        ];
        for (from, to) in changes {
            assert!(text.contains(from), "{text}");
            convicts(&text.replace(from, to)).unwrap_err();
        }
        convicts("").unwrap_err();
    }
}
