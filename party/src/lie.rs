//! A party that lies once, so that a demonstration can show what becomes of it. Never in a consortium: it is refused unless
//! every address of the house, its own, the coordinator's and those of all members, is one of this machine itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tacit_api::roster::Roster;
use tacit_mpc::PartyId;
use tacit_mpc::net::{Error, Transport};

/// The lie is in the so-manyeth long frame to the party before this one, which in a training is a summand of products.
const FRAME: usize = 60;
/// Shorter frames hold keys, counts and coins.
const LONG: usize = 256;

/// An address that is not one of this machine itself, if there is one.
pub(crate) fn elsewhere<'a>(
    roster: &'a Roster,
    others: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let members = roster
        .members()
        .iter()
        .filter_map(|member| member.address());
    let mut all = members.chain(others);
    all.find(|address| {
        let here = address
            .parse()
            .is_ok_and(|a: SocketAddr| a.ip().is_loopback());
        !here
    })
}

/// Links of which one frame is changed by one bit on its way out.
pub(crate) struct LiesOnce {
    inner: Arc<dyn Transport>,
    long: AtomicUsize,
}

impl LiesOnce {
    /// Over these links.
    pub(crate) fn over(inner: Arc<dyn Transport>) -> Self {
        let long = AtomicUsize::new(0);
        Self { inner, long }
    }
}

impl Transport for LiesOnce {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        let victim = (self.me() + 2) % 3;
        if to != victim || frame.len() < LONG || self.long.fetch_add(1, Ordering::Relaxed) != FRAME
        {
            return self.inner.send(to, frame);
        }
        tracing::warn!(
            "lying: one bit of a frame to party {to} is changed, as I was started to do"
        );
        let mut changed = frame.to_vec();
        // The lowest bit of the last byte is never padding.
        if let Some(last) = changed.last_mut() {
            *last ^= 1;
        }
        self.inner.send(to, changed.into())
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        self.inner.recv(from)
    }
}

#[cfg(test)]
mod tests {
    use tacit_mpc::net::MemNet;

    use super::*;
    use crate::ServeError;
    use crate::test_party::Trial;

    #[test]
    fn a_consortium_of_several_machines_has_no_party_that_lies() {
        let trial = Trial::new();
        let config = trial.configs[0].clone();
        let serving = crate::serve_and_lie_once(config, std::future::pending());
        let refused = trial.runtime().block_on(serving);
        // A name may be that of any machine.
        assert!(matches!(refused, Err(ServeError::NotAlone(a)) if a == "localhost:7000"));
        assert_eq!(elsewhere(&trial.roster, ["127.0.0.1:1", "[::1]:2"]), None);
        for far in ["10.0.0.1:7001", "north.example:7001", "0.0.0.0:1"] {
            assert_eq!(elsewhere(&trial.roster, ["127.0.0.1:1", far]), Some(far));
        }
    }

    #[test]
    fn one_bit_of_one_frame_is_changed() {
        let mut nets = MemNet::mesh(3);
        let (south, west) = (nets.pop().unwrap(), nets.pop().unwrap());
        let liar = LiesOnce::over(Arc::new(west));
        let frame = Bytes::from(vec![7; LONG]);
        for _ in 0..FRAME + 9 {
            for to in [0, 2] {
                liar.send(to, frame.clone()).unwrap();
                liar.send(to, frame.slice(1..)).unwrap();
            }
        }
        let flipped = |net: &dyn Transport| -> u32 {
            let frames = (0..2 * (FRAME + 9)).map(|_| net.recv(1).unwrap());
            let bits = frames.flatten().map(|byte| (byte ^ 7).count_ones());
            bits.sum()
        };
        assert_eq!((flipped(&nets[0]), flipped(&south)), (1, 0));
    }
}
