//! What the computing parties say to both others at once, signed.
//!
//! Each sends its statement to both, and passes on to each what the third said. Whoever said two things is seen by both, and
//! convicted by its own signatures, also if it breaks off afterwards. 64 bytes and the body, twice a link and direction; 2 rounds.
//! Echo broadcast with abort (Goldwasser and Lindell, "Secure multi-party computation without agreement", Journal of Cryptology
//! 2005): no two honest parties go on with different statements; one may abort alone.

use std::cell::RefCell;

use tacit_api::identity::{Identity, IdentityError};
use tacit_api::misbehaviour::PeerMisbehaved;
use tacit_api::roster::Roster;
use tacit_api::statement::{Statement, StatementError, Step};
use tacit_mpc::net::{self, Transport};
use tacit_mpc::{Error, PartyId};

use crate::seats::COMPUTING;

/// A party's voice in one session, and what it has heard in it. One for a session: an honest party speaks once in each step.
pub(crate) struct Voice<'a> {
    identity: &'a Identity,
    roster: &'a Roster,
    /// The names of the computing parties.
    names: &'a [String],
    session: [u8; 32],
    /// Everybody's statements so far, its own too.
    heard: RefCell<Vec<Statement>>,
}

/// Why there is no common word.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BroadcastError {
    #[error(transparent)]
    Session(#[from] Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A defect of the caller, which would convict this party.
    #[error("this party has spoken in this step of the session already")]
    Twice,
    /// A peer signed what no honest party signs.
    #[error("party {peer} misbehaved: {what}")]
    Convicted {
        peer: PartyId,
        what: &'static str,
        certificate: Box<PeerMisbehaved>,
    },
}

impl BroadcastError {
    /// The party to blame, where there is one.
    pub(crate) fn culprit(&self) -> Option<PartyId> {
        match self {
            Self::Session(error) => error.culprit(),
            Self::Convicted { peer, .. } => Some(*peer),
            Self::Identity(_) | Self::Twice => None,
        }
    }
}

impl From<net::Error> for BroadcastError {
    fn from(error: net::Error) -> Self {
        Self::Session(error.into())
    }
}

impl<'a> Voice<'a> {
    pub(crate) fn new(
        identity: &'a Identity,
        roster: &'a Roster,
        names: &'a [String],
        session: [u8; 32],
    ) -> Self {
        Self {
            identity,
            roster,
            names,
            session,
            heard: RefCell::default(),
        }
    }

    pub(crate) fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// The name of a computing party.
    pub(crate) fn name(&self, party: PartyId) -> &str {
        self.names.get(party).map_or("", String::as_str)
    }

    /// Says `body`, and hears what the others say; everybody's statements, in the order of the parties.
    pub(crate) fn broadcast(
        &self,
        net: &dyn Transport,
        step: Step,
        body: &[u8],
    ) -> Result<[Statement; COMPUTING], BroadcastError> {
        let me = net.me();
        let own = Statement::sign(self.identity, self.roster, self.session, step, body)?;
        let spoken = |said: &Statement| (said.party(), said.step()) == (own.party(), step);
        if self.heard.borrow().iter().any(spoken) {
            return Err(BroadcastError::Twice);
        }
        self.heard.borrow_mut().push(own.clone());
        let others = [(me + 1) % COMPUTING, (me + 2) % COMPUTING];
        // Links that fail end it only after everything that did arrive has been held against the rest: who breaks off is
        // convicted all the same.
        let mut failures = Vec::new();
        for peer in others {
            let sent = net.send(peer, own.to_bytes().into());
            failures.extend(sent.err().map(BroadcastError::from));
        }
        let direct = others.map(|peer| self.hear(net, peer, peer, step));
        for (peer, said) in others.into_iter().rev().zip(&direct) {
            if let Ok(said) = said {
                let sent = net.send(peer, said.to_bytes().into());
                failures.extend(sent.err().map(BroadcastError::from));
            }
        }
        let [a, b] = others;
        let passed_on = [(a, b), (b, a)].map(|(peer, of)| self.hear(net, peer, of, step));
        let mut heard = Vec::new();
        for said in direct {
            match said {
                Ok(said) => heard.push(said),
                Err(e) => failures.push(e),
            }
        }
        failures.extend(passed_on.into_iter().filter_map(Result::err));
        let convicted = |e: &BroadcastError| matches!(e, BroadcastError::Convicted { .. });
        if let Some(at) = failures.iter().position(convicted) {
            return Err(failures.swap_remove(at));
        }
        match (failures.into_iter().next(), <[_; 2]>::try_from(heard)) {
            (None, Ok([a, b])) => {
                let mut all = [own, a, b];
                all.rotate_right(me);
                Ok(all)
            }
            (first, _) => Err(first.unwrap_or(BroadcastError::Twice)),
        }
    }

    /// What `peer` says that party `of` said, held against whatever else that party said.
    fn hear(
        &self,
        net: &dyn Transport,
        peer: PartyId,
        of: PartyId,
        step: Step,
    ) -> Result<Statement, BroadcastError> {
        let frame = net.recv(peer)?;
        let said = Statement::receive(self.roster, self.name(of), self.session, step, &frame);
        let what = |e: StatementError| Error::PeerMisbehaved {
            peer,
            what: e.to_string(),
        };
        let said = said.map_err(what)?;
        let mut heard = self.heard.borrow_mut();
        for before in heard.iter().filter(|s| s.party() == said.party()) {
            let pair = PeerMisbehaved::new(self.roster, before.clone(), said.clone());
            let convicted = pair.and_then(|certificate| {
                let what = certificate.verify(self.roster)?.what;
                Ok(BroadcastError::Convicted {
                    peer: of,
                    what,
                    certificate: Box::new(certificate),
                })
            });
            if let Ok(convicted) = convicted {
                return Err(convicted);
            }
        }
        heard.push(said.clone());
        Ok(said)
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    use tacit_api::consortium::Consortium;

    use super::*;

    /// Three parties with identities, in the session \[1; 32\].
    pub(crate) struct Trio {
        pub(crate) roster: Roster,
        pub(crate) identities: Vec<Identity>,
        pub(crate) names: Vec<String>,
    }

    impl Trio {
        pub(crate) fn new(names: [&str; COMPUTING]) -> Self {
            let [authority, coordinator] = [(); 2].map(|()| Identity::generate().unwrap());
            let mut consortium =
                Consortium::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
            let identities = names.map(|name| {
                let identity = Identity::generate().unwrap();
                let request = identity.request(name, Some("localhost:7001")).unwrap();
                consortium.admit(&request).unwrap();
                identity
            });
            Self {
                roster: consortium.roster().clone(),
                identities: identities.into(),
                names: names.map(str::to_owned).into(),
            }
        }

        pub(crate) fn numbered() -> Self {
            Self::new(["zero", "one", "two"])
        }

        pub(crate) fn voice(&self, party: PartyId) -> Voice<'_> {
            let identity = &self.identities[party];
            Voice::new(identity, &self.roster, &self.names, [1; 32])
        }

        /// What each of the first `n` parties ends with, each on a thread.
        pub(crate) fn each<T: Send>(
            &self,
            nets: &[Box<dyn Transport>],
            act: impl Fn(&dyn Transport, Voice<'_>) -> T + Sync,
        ) -> Vec<T> {
            std::thread::scope(|scope| {
                let parts: Vec<_> = (nets.iter())
                    .map(|net| scope.spawn(|| act(&**net, self.voice(net.me()))))
                    .collect();
                parts.into_iter().map(|part| part.join().unwrap()).collect()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tacit_mpc::net::MemNet;

    use super::fixture::Trio;
    use super::*;

    fn mesh() -> Vec<Box<dyn Transport>> {
        let nets = MemNet::mesh_with_deadline(COMPUTING, Duration::from_millis(500));
        nets.into_iter().map(|net| Box::new(net) as _).collect()
    }

    #[test]
    fn all_hear_what_all_say() {
        let trio = Trio::numbered();
        let heard = trio.each(&mesh(), |net, voice| {
            let body = [net.me() as u8; 32];
            voice.broadcast(net, Step::Opening, &body).unwrap()
        });
        assert!(heard.iter().all(|all| *all == heard[0]));
        for (k, statement) in heard[0].iter().enumerate() {
            assert_eq!(statement.body(), [k as u8; 32]);
        }
    }

    /// What party 2 does after it has said one thing to party 0 and another to party 1.
    #[derive(Clone, Copy, Debug)]
    enum Then {
        PassesOn,
        Withholds,
        SendsGarbage,
        HangsUp,
    }

    /// Party 2 says one thing to party 0 and another to party 1: both hold evidence that convicts it, whatever it does next.
    #[test]
    fn who_has_two_faces_is_convicted() {
        let trio = Trio::numbered();
        for then in [
            Then::PassesOn,
            Then::Withholds,
            Then::SendsGarbage,
            Then::HangsUp,
        ] {
            let mut nets = mesh();
            let cheat = nets.pop().unwrap();
            for peer in 0..2 {
                let two = trio.voice(2);
                let body = [peer as u8];
                let said = Statement::sign(two.identity, two.roster, [1; 32], Step::Opening, &body);
                let said = said.unwrap().to_bytes();
                cheat.send(peer, said.into()).unwrap();
            }
            let results = std::thread::scope(|scope| {
                let honest = scope.spawn(|| {
                    trio.each(&nets, |net, voice| {
                        voice.broadcast(net, Step::Opening, b"said")
                    })
                });
                let said = [0, 1].map(|peer| cheat.recv(peer).unwrap());
                let cheat = match then {
                    Then::HangsUp => {
                        drop(cheat);
                        None
                    }
                    Then::Withholds => Some(cheat),
                    Then::PassesOn => {
                        cheat.send(0, said[1].clone()).unwrap();
                        cheat.send(1, said[0].clone()).unwrap();
                        Some(cheat)
                    }
                    Then::SendsGarbage => {
                        cheat.send(0, said[0].clone()).unwrap();
                        cheat.send(1, said[0].slice(..9)).unwrap();
                        Some(cheat)
                    }
                };
                let results = honest.join().unwrap();
                drop(cheat);
                results
            });
            for result in results {
                let Err(BroadcastError::Convicted {
                    peer: 2,
                    certificate,
                    ..
                }) = result
                else {
                    panic!("{then:?}: {result:?}");
                };
                assert_eq!(certificate.verify(&trio.roster).unwrap().party, "two");
            }
        }
    }

    /// A second word in one step would convict who speaks it.
    #[test]
    fn nobody_speaks_twice_in_a_step() {
        let trio = Trio::numbered();
        let twice = trio.each(&mesh(), |net, voice| {
            voice.broadcast(net, Step::Opening, b"said").unwrap();
            voice.broadcast(net, Step::Opening, b"else")
        });
        for result in twice {
            assert!(matches!(result, Err(BroadcastError::Twice)), "{result:?}");
        }
    }

    /// A party that passes on what the third did not sign is refused, and convicts nobody.
    #[test]
    fn nobody_is_convicted_by_hearsay() {
        let trio = Trio::numbered();
        let mut nets = mesh();
        let cheat = nets.pop().unwrap();
        let own = trio.voice(2);
        let own = Statement::sign(own.identity, own.roster, [1; 32], Step::Opening, b"x").unwrap();
        for peer in 0..2 {
            cheat.send(peer, own.to_bytes().into()).unwrap();
            cheat.send(peer, own.to_bytes().into()).unwrap();
        }
        let results = trio.each(&nets, |net, voice| {
            voice.broadcast(net, Step::Opening, b"said")
        });
        for result in results {
            let error = result.unwrap_err();
            assert!(matches!(error, BroadcastError::Session(_)), "{error}");
            assert_eq!(error.culprit(), Some(2));
        }
    }
}
