//! A question as a party holds it until it is computed: the client's message as it came, which a seed makes short.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tacit_mpc::PartyId;
use tacit_protocols::rep3::{Rep3, contribute};

use super::agree::{FINGERPRINT, Fingerprints};
use super::wire::{Ask, Greeting, Port};
use crate::net::SessionId;

/// A question at this party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) rows: usize,
    /// The messages of all inputs, one after the other, of the length that goes with `rows`: a copy of their own, so that
    /// nothing else of what came over the link is held.
    shares: Bytes,
    /// What the peers must hold too; zeros for this party.
    pub(crate) fingerprints: Fingerprints,
}

/// Bytes of the messages to party `me` of a question with so many rows.
pub(super) fn message_len(me: PartyId, rows: usize, inputs: &[Port]) -> usize {
    let lens = inputs
        .iter()
        .map(|port| contribute::part_len(me, rows.saturating_mul(port.width())));
    lens.fold(0, usize::saturating_add)
}

impl Question {
    /// Bytes that hold a question besides its message.
    const OVERHEAD: usize = 256;

    /// Whether the message has the rows and the length that it must have. The bytes that its question will take.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn check(me: PartyId, ask: &Ask, greeting: &Greeting) -> Result<usize, String> {
        let rows = ask.rows as usize;
        greeting.check_rows(rows)?;
        let len = message_len(me, rows, &greeting.inputs);
        if ask.shares.len() != len {
            return Err(format!(
                "the shares of {rows} rows have {} bytes instead of {len}",
                ask.shares.len()
            ));
        }
        Ok(len + Self::OVERHEAD)
    }

    /// Takes a message that has been checked of the client at a place in the list of the service. Nothing is expanded here.
    pub(super) fn read(
        me: PartyId,
        session: SessionId,
        client: u16,
        ask: &Ask,
        greeting: &Greeting,
    ) -> Self {
        let rows = ask.rows as usize;
        let mut fingerprints = [[0; FINGERPRINT]; 3];
        for (peer, fingerprint) in fingerprints.iter_mut().enumerate() {
            if peer == me {
                continue;
            }
            let mut hash = Sha256::new()
                .chain_update(b"tacit question v2")
                .chain_update(session.0)
                .chain_update(client.to_le_bytes())
                .chain_update(ask.number.to_le_bytes())
                .chain_update(ask.rows.to_le_bytes());
            for (port, part) in parts(me, rows, &greeting.inputs, &ask.shares) {
                hash.update((port as u64).to_le_bytes());
                hash.update(contribute::common(me, peer, &part));
            }
            *fingerprint = hash.finalize().into();
        }
        Self {
            rows,
            shares: Bytes::copy_from_slice(&ask.shares),
            fingerprints,
        }
    }

    /// What it takes of this party's memory while it waits.
    pub(super) fn bytes(&self) -> usize {
        self.shares.len() + Self::OVERHEAD
    }

    /// This party's shares of every input, rows first; `None` for other inputs than it was read for.
    pub(super) fn shares(&self, me: PartyId, inputs: &[Port]) -> Option<Vec<Rep3>> {
        let message = &self.shares;
        #[cfg(test)]
        let message = &super::tests::lies::about_questions(message);
        let shares = parts(me, self.rows, inputs, message).map(|(k, part)| {
            let shape = [&[self.rows], &inputs[k].shape[..]].concat();
            contribute::read(me, &part, &shape)
        });
        shares.collect()
    }

    /// A question without content.
    #[cfg(test)]
    pub(super) fn blank(rows: usize, bytes: usize) -> Self {
        Self {
            rows,
            shares: vec![0; bytes].into(),
            fingerprints: [[0; 32]; 3],
        }
    }
}

/// The message of each input, with its index: those that are there, where `shares` is too short.
fn parts<'a>(
    me: PartyId,
    rows: usize,
    inputs: &'a [Port],
    shares: &Bytes,
) -> impl Iterator<Item = (usize, Bytes)> + use<'a> {
    let mut rest = shares.clone();
    inputs.iter().enumerate().map(move |(k, port)| {
        let len = contribute::part_len(me, rows * port.width());
        (k, rest.split_to(len.min(rest.len())))
    })
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use ndarray::{ArrayD, IxDyn};

    use super::*;

    fn greeting() -> Greeting {
        let port = |name: &str, shape: &[usize]| Port {
            name: name.into(),
            shape: shape.into(),
        };
        Greeting {
            inputs: vec![port("x", &[1000, 10]), port("z", &[])],
            outputs: vec![],
            fraction_bits: 18,
            max_rows: 4,
            exact_rows: false,
            bounds: vec![],
            kinds: vec![],
            copies: false,
        }
    }

    fn asked(me: PartyId, rows: usize) -> Ask {
        let tensor = |shape: &[usize]| {
            let words = ArrayD::from_shape_fn(IxDyn(shape), |ix| Wrapping(ix[0] as u64));
            contribute::share(&words).unwrap().messages[me].clone()
        };
        Ask {
            number: 1,
            rows: rows as u32,
            shares: [tensor(&[rows, 1000, 10]), tensor(&[rows])].concat().into(),
        }
    }

    /// A party that gets two seeds would hold 640 kB once they are expanded.
    #[test]
    fn seeds_stay_seeds_until_they_are_computed_on() {
        let session = SessionId::new("service", 1);
        let ask = asked(0, 4);
        let question = Question::read(0, session, 0, &ask, &greeting());
        assert!(question.bytes() < 1000, "{} bytes", question.bytes());
        let shares = question.shares(0, &greeting().inputs).unwrap();
        assert_eq!(shares[0].shape(), [4, 1000, 10]);
        assert_eq!(shares[1].shape(), [4]);
        for me in 1..3 {
            let ask = asked(me, 4);
            let question = Question::read(me, session, 0, &ask, &greeting());
            assert_eq!(question.shares(me, &greeting().inputs).unwrap().len(), 2);
        }
    }

    /// A short question that is kept would hold the long frame in whose memory it came.
    #[test]
    fn a_question_holds_what_is_accounted_for_and_no_more() {
        let session = SessionId::new("service", 1);
        for me in 0..3 {
            let mut ask = asked(me, 1);
            let long = [&ask.shares[..], &vec![7; 1 << 20]].concat();
            ask.shares = Bytes::from(long).slice(..ask.shares.len());
            let accounted = Question::check(me, &ask, &greeting()).unwrap();
            let question = Question::read(me, session, 0, &ask, &greeting());
            assert_eq!(question.bytes(), accounted);
            assert_eq!(question.fingerprints[me], [0; FINGERPRINT]);
            drop(ask);
            let held = question.shares.try_into_mut().expect("nobody else has it");
            assert!(held.capacity() <= accounted, "{} bytes", held.capacity());
        }
    }

    #[test]
    fn another_length_is_refused_before_anything_is_made_of_it() {
        for me in 0..3 {
            let ask = asked(me, 3);
            let refused = |ask: Ask| Question::check(me, &ask, &greeting()).unwrap_err();
            let short = ask.shares.slice(1..);
            let shares = short.clone();
            assert!(
                refused(Ask {
                    shares,
                    ..ask.clone()
                })
                .contains("instead of")
            );
            let shares = [&ask.shares[..], &[0]].concat().into();
            assert!(
                refused(Ask {
                    shares,
                    ..ask.clone()
                })
                .contains("instead of")
            );
            for rows in [0, 5, u32::MAX] {
                assert!(
                    refused(Ask {
                        rows,
                        ..ask.clone()
                    })
                    .contains("1 to 4 rows")
                );
            }
        }
    }
}
