//! What the computing parties say to both others at once, signed.
//!
//! Each sends its statement to both, and passes on to each what the third said. Whoever said two things is seen by both, and
//! convicted by its own signatures. 64 bytes and the body, twice a link and direction; 2 rounds. Echo broadcast with abort
//! (Goldwasser and Lindell, "Secure multi-party computation without agreement", Journal of Cryptology 2005): no two honest
//! parties go on with different statements; one may abort alone.

use bytes::Bytes;
use tacit_api::identity::{Identity, IdentityError};
use tacit_api::misbehaviour::PeerMisbehaved;
use tacit_api::roster::Roster;
use tacit_api::statement::{Statement, Step};
use tacit_mpc::net::{self, Transport};
use tacit_mpc::{Error, PartyId};

use crate::seats::COMPUTING;

/// A party's voice in one session.
pub(crate) struct Voice<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) roster: &'a Roster,
    /// The names of the computing parties.
    pub(crate) names: &'a [String],
    pub(crate) session: [u8; 32],
}

/// Why there is no common word.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BroadcastError {
    #[error(transparent)]
    Session(#[from] Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
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
            Self::Identity(_) => None,
        }
    }
}

impl From<net::Error> for BroadcastError {
    fn from(error: net::Error) -> Self {
        Self::Session(error.into())
    }
}

impl Voice<'_> {
    /// Says `body`, and hears what the others say; everybody's statements, in the order of the parties.
    pub(crate) fn broadcast(
        &self,
        net: &dyn Transport,
        step: Step,
        body: &[u8],
    ) -> Result<[Statement; COMPUTING], BroadcastError> {
        let me = net.me();
        let own = Statement::sign(self.identity, self.roster, self.session, step, body)?;
        let others = [(me + 1) % COMPUTING, (me + 2) % COMPUTING];
        for peer in others {
            net.send(peer, own.to_bytes().into())?;
        }
        let [a, b] = others.map(|peer| self.heard(peer, peer, step, &net.recv(peer)?));
        let (a, b) = (a?, b?);
        // Each learns what the other said here.
        for (peer, said) in [(others[0], &b), (others[1], &a)] {
            net.send(peer, said.to_bytes().into())?;
        }
        for (peer, of, said) in [(others[0], others[1], &b), (others[1], others[0], &a)] {
            let passed_on = self.heard(peer, of, step, &net.recv(peer)?)?;
            if passed_on != *said {
                return Err(self.convict(of, said.clone(), passed_on));
            }
        }
        let mut all = [own, a, b];
        all.rotate_right(me);
        Ok(all)
    }

    /// The statement of party `of` that came from `peer`.
    fn heard(
        &self,
        peer: PartyId,
        of: PartyId,
        step: Step,
        frame: &Bytes,
    ) -> Result<Statement, BroadcastError> {
        let misbehaved = |what: String| Error::PeerMisbehaved { peer, what };
        let name = self.names.get(of);
        let name = name.ok_or_else(|| misbehaved(format!("party {of} has no seat")))?;
        let said = Statement::receive(self.roster, name, self.session, step, frame);
        Ok(said.map_err(|e| misbehaved(e.to_string()))?)
    }

    /// The error that two statements of `peer` are, of which an honest party makes one.
    pub(crate) fn convict(&self, peer: PartyId, a: Statement, b: Statement) -> BroadcastError {
        let shown = PeerMisbehaved::new(self.roster, a, b).and_then(|certificate| {
            let what = certificate.verify(self.roster)?.what;
            Ok(BroadcastError::Convicted {
                peer,
                what,
                certificate: Box::new(certificate),
            })
        });
        shown.unwrap_or_else(|e| {
            let what = e.to_string();
            Error::PeerMisbehaved { peer, what }.into()
        })
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
            Voice {
                identity: &self.identities[party],
                roster: &self.roster,
                names: &self.names,
                session: [1; 32],
            }
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

    /// Party 2 says one thing to party 0 and another to party 1: both hold evidence that convicts it.
    #[test]
    fn who_has_two_faces_is_convicted() {
        let trio = Trio::numbered();
        let mut nets = mesh();
        let cheat = nets.pop().unwrap();
        let say = |body: &[u8]| {
            let voice = trio.voice(2);
            Statement::sign(voice.identity, voice.roster, [1; 32], Step::Opening, body).unwrap()
        };
        for peer in 0..2 {
            cheat
                .send(peer, say(&[peer as u8]).to_bytes().into())
                .unwrap();
        }
        // It passes on faithfully what the others said; what that is does not matter here.
        let results = std::thread::scope(|scope| {
            let honest = scope.spawn(|| {
                trio.each(&nets, |net, voice| {
                    voice.broadcast(net, Step::Opening, b"said")
                })
            });
            let said = [0, 1].map(|peer| cheat.recv(peer).unwrap());
            cheat.send(0, said[1].clone()).unwrap();
            cheat.send(1, said[0].clone()).unwrap();
            honest.join().unwrap()
        });
        for result in results {
            let Err(BroadcastError::Convicted {
                peer: 2,
                certificate,
                ..
            }) = result
            else {
                panic!("{result:?}");
            };
            assert_eq!(certificate.verify(&trio.roster).unwrap().party, "two");
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
