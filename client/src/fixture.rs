//! A small consortium for tests.

use tacit_api::consortium::Consortium as Founded;
use tacit_api::identity::Identity;
use tacit_api::roster::Roster;

use crate::home::Member;

/// Three parties and a client.
pub(crate) struct Consortium {
    pub(crate) roster: Roster,
    /// north, west and south.
    pub(crate) parties: Vec<Identity>,
    pub(crate) analyst: Member,
}

/// A consortium with new keys.
pub(crate) fn consortium() -> Consortium {
    let [authority, coordinator, client] = [(); 3].map(|()| Identity::generate().unwrap());
    let mut founded = Founded::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
    let parties = ["north", "west", "south"].map(|name| {
        let identity = Identity::generate().unwrap();
        let request = identity.request(name, Some("localhost:7001")).unwrap();
        founded.admit(&request).unwrap();
        identity
    });
    founded
        .admit(&client.request("analyst", None).unwrap())
        .unwrap();
    let roster = founded.roster().clone();
    Consortium {
        parties: parties.into(),
        analyst: Member {
            identity: client,
            roster: roster.clone(),
            name: "analyst".into(),
        },
        roster,
    }
}
