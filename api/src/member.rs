//! One member of the consortium.

use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

use crate::certificate::{Certificate, Fingerprint};
use crate::identity::{Request, endorsed};
use crate::name;
use crate::roster::{COORDINATOR, RosterError};

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds data or computes: takes part in sessions.
    Party,
    /// Submits jobs and receives results.
    Client,
}

/// One member, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    name: String,
    role: Role,
    address: Option<String>,
    certificate: Certificate,
    sealing_key: [u8; 32],
    endorsement: Signature,
}

/// A member as the roster file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    fingerprint: Fingerprint,
    sealing_key: String,
    endorsement: String,
    certificate: String,
}

impl Member {
    /// The member that `request` asks for, with the certificate that was issued to it.
    pub(crate) fn new(request: &Request, certificate: Certificate) -> Result<Self, RosterError> {
        Self::from_entry(Entry {
            name: request.name.clone(),
            role: request.role,
            address: request.address.clone(),
            fingerprint: certificate.fingerprint(),
            sealing_key: request.sealing_key.clone(),
            endorsement: request.endorsement.clone(),
            certificate: certificate.pem().to_owned(),
        })
    }

    /// Parses an entry; [`Self::check`] then says whether it can be believed.
    pub(crate) fn from_entry(entry: Entry) -> Result<Self, RosterError> {
        let certificate = Certificate::from_pem(&entry.certificate)?;
        if certificate.fingerprint() != entry.fingerprint {
            return Err(problem(
                &entry.name,
                "its fingerprint is not that of its certificate",
            ));
        }
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        hex::decode_to_slice(&entry.sealing_key, &mut key)
            .map_err(|_| problem(&entry.name, "sealing_key must be 64 hexadecimal digits"))?;
        hex::decode_to_slice(&entry.endorsement, &mut signature)
            .map_err(|_| problem(&entry.name, "endorsement must be 128 hexadecimal digits"))?;
        Ok(Self {
            name: entry.name,
            role: entry.role,
            address: entry.address,
            certificate,
            sealing_key: key,
            endorsement: Signature::from_bytes(&signature),
        })
    }

    /// The entry that reads back as this member.
    pub(crate) fn to_entry(&self) -> Entry {
        Entry {
            name: self.name.clone(),
            role: self.role,
            address: self.address.clone(),
            fingerprint: self.fingerprint(),
            sealing_key: hex::encode(self.sealing_key),
            endorsement: hex::encode(self.endorsement.to_bytes()),
            certificate: self.certificate.pem().to_owned(),
        }
    }

    /// Checks everything that can be checked about one member alone.
    pub(crate) fn check(&self, authority: &Certificate) -> Result<(), RosterError> {
        name::check(&self.name).map_err(|error| problem(&self.name, error))?;
        if self.name == COORDINATOR {
            return Err(problem(&self.name, "this name is reserved"));
        }
        if self.certificate.name() != self.name {
            let issued = self.certificate.name();
            return Err(problem(
                &self.name,
                format!("its certificate was issued to {issued}"),
            ));
        }
        self.certificate.check_issued_by(authority)?;
        match (self.role, &self.address) {
            (Role::Party, None) => return Err(problem(&self.name, "a party needs an address")),
            (Role::Client, Some(_)) => {
                return Err(problem(
                    &self.name,
                    "a client listens nowhere: leave out its address",
                ));
            }
            _ => {}
        }
        if let Some(address) = &self.address {
            check_address(address).map_err(|error| problem(&self.name, error))?;
        }
        self.certificate
            .key()
            .verify_strict(&endorsed(&self.name, &self.sealing_key), &self.endorsement)
            .map_err(|_| problem(&self.name, "its identity key did not sign its sealing key"))
    }

    /// The member's unique name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the member does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// For a party, the `host:port` of its data plane.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The member's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The fingerprint of the member's certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// The X25519 key that results for this member are sealed to.
    pub fn sealing_key(&self) -> &[u8; 32] {
        &self.sealing_key
    }
}

fn problem(member: &str, problem: impl Into<String>) -> RosterError {
    RosterError::Member {
        member: member.to_owned(),
        problem: problem.into(),
    }
}

/// Checks that `address` is `host:port`, without looking the host up.
pub(crate) fn check_address(address: &str) -> Result<(), String> {
    let parts = address.rsplit_once(':');
    let sound = parts.is_some_and(|(host, port)| {
        let host_chars = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        !host.is_empty() && host.chars().all(host_chars) && port.parse::<u16>().is_ok()
    });
    if sound {
        Ok(())
    } else {
        Err(format!("{address:?} is not an address: write host:port"))
    }
}
