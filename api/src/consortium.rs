//! A consortium as its operator sees it: the authority, the coordinator's identity and the roster that they make.

use crate::authority::{Authority, AuthorityError, days};
use crate::identity::{Identity, IdentityError, Request};
use crate::member::Member;
use crate::roster::{Roster, RosterError};

/// How long a member's certificate is valid, in days.
const MEMBER_DAYS: u64 = 825;

/// Why a consortium cannot be founded or take a member.
#[derive(Debug, thiserror::Error)]
pub enum ConsortiumError {
    /// A key could not be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate was not issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The roster would not hold together.
    #[error(transparent)]
    Roster(#[from] RosterError),
}

/// The means to admit members.
pub struct Consortium {
    authority: Authority,
    roster: Roster,
}

impl Consortium {
    /// Founds the consortium `name`, whose coordinator is reached at `address`. Both identities are new and stay with
    /// the operator: the one of the authority and the one of the coordinator.
    pub fn found(
        name: &str,
        address: &str,
        authority: &Identity,
        coordinator: &Identity,
    ) -> Result<Self, ConsortiumError> {
        let authority = Authority::create(name, authority)?;
        let certificate = authority.certify_coordinator(coordinator, days(MEMBER_DAYS))?;
        let roster = Roster::new(authority.certificate().clone(), certificate, address)?;
        Ok(Self { authority, roster })
    }

    /// The consortium of an existing roster.
    pub fn open(roster: Roster, authority: &Identity) -> Result<Self, ConsortiumError> {
        Ok(Self {
            authority: Authority::open(roster.authority(), authority)?,
            roster,
        })
    }

    /// Issues a certificate to whoever asks and adds the member to the roster. Names and keys must be new.
    pub fn admit(&mut self, request: &Request) -> Result<&Member, ConsortiumError> {
        let member = self.authority.admit(request, days(MEMBER_DAYS))?;
        self.roster.add(member)?;
        Ok(self.roster.member(&request.name)?)
    }

    /// The roster as it is now.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }
}
