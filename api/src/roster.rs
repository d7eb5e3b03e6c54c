//! The roster: who belongs to the consortium and how everyone is recognised.
//!
//! Every member holds the same file. Loading it checks all of it, so that the rest of the code never meets a member
//! whose certificate, sealing key or name was not verified.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::certificate::{Certificate, CertificateError, Fingerprint};
use crate::member::{Entry, Member, Role, check_address};
use crate::transcript::transcript;

/// The coordinator's name in certificates; no member may bear it.
pub const COORDINATOR: &str = "coordinator";

/// Why a roster is refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The roster file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or has missing or unknown fields.
    #[error("the roster does not parse: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The roster cannot be written as TOML.
    #[error("the roster cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
    /// A certificate is unusable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Something a member says about itself does not hold.
    #[error("member {member}: {problem}")]
    Member {
        /// The member's name.
        member: String,
        /// What is wrong.
        problem: String,
    },
    /// Two members share what must be one member's own.
    #[error("{first} and {second} have the same {what}: every member needs its own")]
    Duplicate {
        /// One of the two.
        first: String,
        /// The other.
        second: String,
        /// What they share.
        what: &'static str,
    },
    /// There is no member of that name.
    #[error("{name} is not a member of {consortium}")]
    Unknown {
        /// The name that was looked for.
        name: String,
        /// The consortium's name.
        consortium: String,
    },
}

/// The members of one consortium, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    authority: Certificate,
    coordinator: Certificate,
    coordinator_address: String,
    members: Vec<Member>,
}

/// The roster file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterFile {
    authority: String,
    coordinator: CoordinatorEntry,
    #[serde(default)]
    member: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoordinatorEntry {
    address: String,
    fingerprint: Fingerprint,
    certificate: String,
}

impl Roster {
    /// A roster with no members yet, of the consortium that `authority` is named after.
    pub fn new(
        authority: Certificate,
        coordinator: Certificate,
        coordinator_address: &str,
    ) -> Result<Self, RosterError> {
        let problem = |problem: String| RosterError::Member {
            member: COORDINATOR.to_owned(),
            problem,
        };
        check_address(coordinator_address).map_err(problem)?;
        coordinator.check_issued_by(&authority)?;
        if coordinator.name() != COORDINATOR {
            return Err(problem(format!(
                "its certificate was issued to {}",
                coordinator.name()
            )));
        }
        Ok(Self {
            authority,
            coordinator,
            coordinator_address: coordinator_address.to_owned(),
            members: Vec::new(),
        })
    }

    /// Adds a member after checking it alone and against the others.
    pub fn add(&mut self, member: Member) -> Result<(), RosterError> {
        member.check(&self.authority)?;
        let clash = |other: &str, what| RosterError::Duplicate {
            first: other.to_owned(),
            second: member.name().to_owned(),
            what,
        };
        for other in &self.members {
            if other.name() == member.name() {
                return Err(clash(other.name(), "name"));
            }
            if other.sealing_key() == member.sealing_key() {
                return Err(clash(other.name(), "sealing key"));
            }
        }
        for certificate in self.certificates().chain([&self.authority]) {
            if certificate.key() == member.certificate().key() {
                return Err(clash(certificate.name(), "identity"));
            }
        }
        self.members.push(member);
        Ok(())
    }

    /// Reads and verifies a roster.
    pub fn from_toml(text: &str) -> Result<Self, RosterError> {
        let file: RosterFile = toml::from_str(text)?;
        let coordinator = Certificate::from_pem(&file.coordinator.certificate)?;
        if coordinator.fingerprint() != file.coordinator.fingerprint {
            return Err(RosterError::Member {
                member: COORDINATOR.to_owned(),
                problem: "its fingerprint is not that of its certificate".into(),
            });
        }
        let authority = Certificate::from_pem(&file.authority)?;
        let mut roster = Self::new(authority, coordinator, &file.coordinator.address)?;
        for entry in file.member {
            roster.add(Member::from_entry(entry)?)?;
        }
        Ok(roster)
    }

    /// The text that reads back as this roster.
    pub fn to_toml(&self) -> Result<String, RosterError> {
        let file = RosterFile {
            authority: self.authority.pem().to_owned(),
            coordinator: CoordinatorEntry {
                address: self.coordinator_address.clone(),
                fingerprint: self.coordinator.fingerprint(),
                certificate: self.coordinator.pem().to_owned(),
            },
            member: self.members.iter().map(Member::to_entry).collect(),
        };
        Ok(format!(
            "# The roster of {}. Everything here is public, but take it from nobody unchecked: compare\n\
             # the fingerprint that the programs print with the other members by telephone.\n\
             # {}\n\n{}",
            self.name(),
            self.fingerprint(),
            toml::to_string_pretty(&file)?
        ))
    }

    /// Reads and verifies the roster in `path`.
    pub fn load(path: &Path) -> Result<Self, RosterError> {
        let text = std::fs::read_to_string(path).map_err(|source| RosterError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&text)
    }

    /// Writes the roster to `path` in one step, so that no reader ever meets half of it.
    pub fn save(&self, path: &Path) -> Result<(), RosterError> {
        let next = path.with_extension("toml.new");
        std::fs::write(&next, self.to_toml()?)
            .and_then(|()| std::fs::rename(&next, path))
            .map_err(|source| RosterError::File {
                path: path.to_owned(),
                source,
            })
    }

    /// The consortium's name.
    pub fn name(&self) -> &str {
        self.authority.name()
    }

    /// What people compare by telephone: it covers every certificate, role and sealing key, in order. Addresses are
    /// left out, as a machine may move without anyone's trust changing.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts = vec![
            self.authority.der().to_vec(),
            self.coordinator.der().to_vec(),
        ];
        for member in &self.members {
            parts.push(member.certificate().der().to_vec());
            parts.push(member.sealing_key().to_vec());
            parts.push(vec![u8::from(member.role() == Role::Party)]);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Fingerprint::of(&transcript("tacit v1 roster", &parts))
    }

    /// The authority that issued every certificate.
    pub fn authority(&self) -> &Certificate {
        &self.authority
    }

    /// The coordinator's certificate.
    pub fn coordinator(&self) -> &Certificate {
        &self.coordinator
    }

    /// The `host:port` at which the coordinator is reached.
    pub fn coordinator_address(&self) -> &str {
        &self.coordinator_address
    }

    /// All members, in the order of their admission.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member called `name`.
    pub fn member(&self, name: &str) -> Result<&Member, RosterError> {
        self.members
            .iter()
            .find(|member| member.name() == name)
            .ok_or_else(|| RosterError::Unknown {
                name: name.to_owned(),
                consortium: self.name().to_owned(),
            })
    }

    /// The member whose certificate has this fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.fingerprint() == *fingerprint)
    }

    /// The certificates of all members and of the coordinator.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        let members = self.members.iter().map(Member::certificate);
        members.chain([&self.coordinator])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::consortium::fixture::members;

    fn error(text: &str) -> String {
        Roster::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_back_from_its_file() {
        let (roster, _) = members();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consortium.toml");
        roster.save(&path).unwrap();
        let loaded = Roster::load(&path).unwrap();
        assert_eq!(loaded, roster);
        assert_eq!(loaded.fingerprint(), roster.fingerprint());
        let north = loaded.member("north").unwrap();
        assert_eq!(loaded.by_fingerprint(&north.fingerprint()), Some(north));
        assert!(loaded.by_fingerprint(&roster.fingerprint()).is_none());
        assert!(loaded.member("east").is_err());
    }

    #[test]
    fn an_address_may_move_but_a_key_may_not() {
        let (roster, _) = members();
        let (other, _) = members();
        let moved = roster.to_toml().unwrap().replace("localhost:", "10.0.0.1:");
        let moved = Roster::from_toml(&moved).unwrap();
        assert_eq!(moved.fingerprint(), roster.fingerprint());
        assert_ne!(other.fingerprint(), roster.fingerprint());
    }

    #[test]
    fn every_change_to_a_member_is_found() {
        let (roster, _) = members();
        let (other, _) = members();
        let text = roster.to_toml().unwrap();
        let (north, west) = (&roster.members()[0], &roster.members()[1]);
        let foreign = &other.members()[0];
        let swap = |from: String, to: String| error(&text.replacen(&from, &to, 1));
        let fingerprint = |member: &Member| member.fingerprint().to_string();
        let pem = |member: &Member| member.certificate().pem().to_owned();
        let key = |member: &Member| hex::encode(member.sealing_key());

        assert!(swap(fingerprint(north), fingerprint(west)).contains("fingerprint is not that"));
        assert!(swap(key(north), key(foreign)).contains("did not sign its sealing key"));
        assert!(swap("name = \"north\"".into(), "name = \"east\"".into()).contains("issued to"));
        let relabelled = text.replacen(&pem(north), &pem(foreign), 1).replacen(
            &fingerprint(north),
            &fingerprint(foreign),
            1,
        );
        assert!(error(&relabelled).contains("was not issued by this consortium's authority"));
        let doubled = text.replacen(&pem(north), &pem(west), 1).replacen(
            &fingerprint(north),
            &fingerprint(west),
            1,
        );
        assert!(error(&doubled).contains("issued to west"));
        assert!(swap("role = \"party\"".into(), "role = \"client\"".into()).contains("leave out"));
        assert!(swap("role = ".into(), "rolle = ".into()).contains("rolle"));
    }

    #[test]
    fn the_same_member_twice_is_refused() {
        let (roster, _) = members();
        let text = roster.to_toml().unwrap();
        let at = text.rfind("[[member]]").unwrap();
        let doubled = format!("{text}\n{}", &text[at..]);
        assert!(error(&doubled).contains("same name"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}", at in 0_usize..4000) {
            let _ = Roster::from_toml(&text);
            thread_local!(static TEXT: String = members().0.to_toml().unwrap());
            TEXT.with(|whole| {
                let at = at.min(whole.len());
                let _ = Roster::from_toml(&format!("{}{text}{}", &whole[..at], &whole[at..]));
            });
        }
    }
}
