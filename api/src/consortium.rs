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

/// A small consortium for tests.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    pub(crate) struct Fixture {
        pub(crate) authority: Identity,
        pub(crate) coordinator: Identity,
        pub(crate) consortium: Consortium,
    }

    /// A consortium without members.
    pub(crate) fn founded() -> Fixture {
        let authority = Identity::generate().unwrap();
        let coordinator = Identity::generate().unwrap();
        let consortium =
            Consortium::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
        Fixture {
            authority,
            coordinator,
            consortium,
        }
    }

    /// Parties north, west and south and the client analyst, with their identities in this order.
    pub(crate) fn members() -> (Roster, Vec<Identity>) {
        let mut consortium = founded().consortium;
        let names = ["north", "west", "south", "analyst"];
        let identities = names.map(|name| {
            let identity = Identity::generate().unwrap();
            let address = (name != "analyst").then_some("localhost:7001");
            consortium
                .admit(&identity.request(name, address).unwrap())
                .unwrap();
            identity
        });
        (consortium.roster().clone(), identities.into())
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::founded;
    use super::*;

    fn refusal(consortium: &mut Consortium, request: &Request) -> String {
        consortium.admit(request).unwrap_err().to_string()
    }

    #[test]
    fn members_are_admitted_across_restarts_of_the_operator() {
        let mut fixture = founded();
        for (name, address) in [("north", Some("north.example:7001")), ("analyst", None)] {
            let identity = Identity::generate().unwrap();
            let request = identity.request(name, address).unwrap();
            let text = fixture.consortium.roster().to_toml().unwrap();
            let roster = Roster::from_toml(&text).unwrap();
            fixture.consortium = Consortium::open(roster, &fixture.authority).unwrap();
            let member = fixture.consortium.admit(&request).unwrap();
            assert_eq!((member.name(), member.address()), (name, address));
            let roster = fixture.consortium.roster();
            assert_eq!(identity.certificate(roster).unwrap().name(), name);
        }
        assert!(Consortium::open(fixture.consortium.roster, &fixture.coordinator).is_err());
    }

    #[test]
    fn one_identity_or_one_name_is_one_member() {
        let mut consortium = founded().consortium;
        let identity = Identity::generate().unwrap();
        consortium
            .admit(&identity.request("north", None).unwrap())
            .unwrap();
        let again = identity.request("west", None).unwrap();
        assert!(refusal(&mut consortium, &again).contains("same sealing key"));
        let namesake = Identity::generate().unwrap().request("north", None);
        assert!(refusal(&mut consortium, &namesake.unwrap()).contains("same name"));
    }

    #[test]
    fn neither_the_coordinator_nor_the_authority_can_be_a_member() {
        let mut fixture = founded();
        for identity in [&fixture.coordinator, &fixture.authority] {
            let request = identity.request("north", None).unwrap();
            assert!(refusal(&mut fixture.consortium, &request).contains("same identity"));
        }
        let identity = Identity::generate().unwrap();
        let request = identity.request("coordinator", None).unwrap();
        assert!(refusal(&mut fixture.consortium, &request).contains("reserved"));
    }

    #[test]
    fn a_request_must_be_whole_and_its_own() {
        let mut consortium = founded().consortium;
        let good = Identity::generate()
            .unwrap()
            .request("north", Some("localhost:7001"))
            .unwrap();
        let other = Identity::generate()
            .unwrap()
            .request("north", Some("localhost:7002"))
            .unwrap();
        type Damage<'a> = &'a dyn Fn(&mut Request);
        let damages: [(&str, Damage); 6] = [
            ("did not sign", &|r| {
                r.sealing_key = other.sealing_key.clone()
            }),
            ("did not sign", &|r| r.name = "west".into()),
            ("128 hex", &|r| r.endorsement.truncate(20)),
            ("not valid", &|r| r.certificate_request.truncate(90)),
            ("needs an address", &|r| r.address = None),
            ("host:port", &|r| r.address = Some("north".into())),
        ];
        for (expected, damage) in damages {
            let mut request = good.clone();
            damage(&mut request);
            let error = refusal(&mut consortium, &request);
            assert!(error.contains(expected), "{error}");
        }
        let mut stolen = good.clone();
        stolen.certificate_request = other.certificate_request.clone();
        assert!(refusal(&mut consortium, &stolen).contains("did not sign"));
        consortium.admit(&good).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn no_request_makes_the_authority_panic(text in ".{0,200}", at in 0_usize..400, byte in 0_u8..64) {
            thread_local!(static SEEN: (Authority, Request) = {
                let identity = Identity::generate().unwrap();
                let request = identity.request("north", None).unwrap();
                (Authority::create("trial", &identity).unwrap(), request)
            });
            SEEN.with(|(authority, request)| {
                // Another letter somewhere in the PEM body is another bit somewhere in the DER.
                let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let mut damaged = request.clone();
                let mut pem = request.certificate_request.clone().into_bytes();
                let at = at % pem.len();
                pem[at] = letters[usize::from(byte)];
                damaged.certificate_request = String::from_utf8(pem).unwrap();
                let _ = authority.admit(&damaged, days(1));
                let _ = Request::from_toml(&text);
            });
        }
    }
}
