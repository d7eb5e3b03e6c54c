//! What the links of a session carry, measured when it starts: the variant of every comparison follows from it.
//!
//! Each party times answers of its successor: a few empty ones for the latency, one of a quarter of a mebibyte for the
//! bandwidth. All tell each other what they found and take the slowest, so that all choose alike; then each two compare what
//! they take. A party that lies makes the session slower; one that tells its peers different things ends it here, before
//! anything is shared, and not where two parties have taken different branches.

use std::time::Instant;

use bytes::Bytes;
use tacit_api::job::Comparison;
use tacit_mpc::net::{Profile, Transport};
use tacit_mpc::{Error, PartyId};
use tacit_protocols::rep3::{Choice, Depth};

const PINGS: usize = 3;
const BURST: usize = 256 << 10;
/// Faster links than these are not told apart: what a clock shows of them is scheduling.
const BEST: Profile = Profile {
    latency_ns: 1_000,
    bits_per_second: 100_000_000_000,
};
/// Slower ones neither.
const WORST: Profile = Profile {
    latency_ns: 10_000_000_000,
    bits_per_second: 1_000,
};

/// The variant of comparisons: as the job says, or by the links.
///
/// # Errors
/// A failed link or peer.
pub(crate) fn comparison(net: &dyn Transport, asked: Comparison) -> Result<Choice, Error> {
    Ok(match asked {
        Comparison::Auto => measure(net)?.into(),
        Comparison::FewBytes => Depth::Three.into(),
        Comparison::FewRounds => Depth::Two.into(),
    })
}

/// Measures the links among the three computing parties, and agrees on the slowest.
///
/// # Errors
/// A failed link or peer.
fn measure(net: &dyn Transport) -> Result<Profile, Error> {
    let me = net.me();
    let (next, previous) = ((me + 1) % 3, (me + 2) % 3);
    let mut latency = WORST.latency_ns;
    for _ in 0..PINGS {
        latency = latency.min(round_trip(net, next, previous, 1)? / 2);
    }
    let burst = round_trip(net, next, previous, BURST)?;
    let carrying = burst.saturating_sub(2 * latency).max(1);
    let bits = (8 * BURST as u128 * 1_000_000_000 / u128::from(carrying)) as u64;
    let own = Profile {
        latency_ns: latency.clamp(BEST.latency_ns, WORST.latency_ns),
        bits_per_second: bits.clamp(WORST.bits_per_second, BEST.bits_per_second),
    };
    let mut slowest = own;
    for peer in [next, previous] {
        net.send(peer, encode(own))?;
    }
    for peer in [next, previous] {
        let theirs = profile(&net.recv(peer)?).ok_or_else(|| misbehaved(peer))?;
        slowest.latency_ns = slowest.latency_ns.max(theirs.latency_ns);
        slowest.bits_per_second = slowest.bits_per_second.min(theirs.bits_per_second);
    }
    for peer in [next, previous] {
        net.send(peer, encode(slowest))?;
    }
    for peer in [next, previous] {
        if net.recv(peer)? != encode(slowest) {
            let what = "it measured other links than I did: it or the third party tells its peers different things".into();
            return Err(Error::PeerMisbehaved { peer, what });
        }
    }
    Ok(slowest)
}

/// latency ‖ bandwidth, in 16 bytes.
fn encode(profile: Profile) -> Bytes {
    let [latency, bits] = [profile.latency_ns, profile.bits_per_second].map(u64::to_le_bytes);
    [latency, bits].concat().into()
}

/// Nanoseconds until the successor has echoed so many bytes; echoes those of the predecessor meanwhile.
fn round_trip(
    net: &dyn Transport,
    next: PartyId,
    previous: PartyId,
    len: usize,
) -> Result<u64, Error> {
    let start = Instant::now();
    net.send(next, Bytes::from(vec![0; len]))?;
    let asked = net.recv(previous)?;
    if asked.len() != len {
        return Err(misbehaved(previous));
    }
    net.send(previous, Bytes::from_static(&[0]))?;
    if net.recv(next)?.len() != 1 {
        return Err(misbehaved(next));
    }
    Ok(start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX))
}

fn profile(frame: &[u8]) -> Option<Profile> {
    let (latency, bits) = frame.split_first_chunk()?;
    let told = Profile {
        latency_ns: u64::from_le_bytes(*latency),
        bits_per_second: u64::from_le_bytes(bits.try_into().ok()?),
    };
    let possible = (BEST.latency_ns..=WORST.latency_ns).contains(&told.latency_ns)
        && (WORST.bits_per_second..=BEST.bits_per_second).contains(&told.bits_per_second);
    possible.then_some(told)
}

fn misbehaved(peer: PartyId) -> Error {
    let what = "what it sent to measure the link makes no sense".into();
    Error::PeerMisbehaved { peer, what }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tacit_mpc::net::{MemNet, Tamper};

    use super::*;

    fn measured(nets: Vec<Box<dyn Transport>>) -> Vec<Result<Profile, Error>> {
        std::thread::scope(|scope| {
            let parts: Vec<_> = nets
                .into_iter()
                .map(|net| scope.spawn(move || measure(&*net)))
                .collect();
            parts.into_iter().map(|part| part.join().unwrap()).collect()
        })
    }

    fn boxed(net: impl Transport + 'static) -> Box<dyn Transport> {
        Box::new(net)
    }

    /// Where the job chooses, nothing is measured: a lone party would wait for ever for the others' answers.
    #[test]
    fn a_job_that_chooses_needs_no_measurement() {
        let net = MemNet::mesh(3).remove(0);
        let chosen = |asked| comparison(&net, asked).unwrap();
        assert_eq!(chosen(Comparison::FewBytes), Choice::Always(Depth::Three));
        assert_eq!(chosen(Comparison::FewRounds), Choice::Always(Depth::Two));
    }

    #[test]
    fn all_agree_on_the_slowest_link() {
        let mut nets: Vec<_> = MemNet::mesh(3).into_iter().map(boxed).collect();
        let last = nets.pop().unwrap();
        struct Late(Box<dyn Transport>);
        impl Transport for Late {
            fn me(&self) -> PartyId {
                self.0.me()
            }
            fn send(&self, to: PartyId, frame: Bytes) -> Result<(), tacit_mpc::net::Error> {
                std::thread::sleep(Duration::from_millis(20));
                self.0.send(to, frame)
            }
            fn recv(&self, from: PartyId) -> Result<Bytes, tacit_mpc::net::Error> {
                self.0.recv(from)
            }
        }
        nets.push(Box::new(Late(last)));
        let found: Vec<Profile> = measured(nets).into_iter().map(Result::unwrap).collect();
        assert!(found.iter().all(|p| *p == found[0]), "{found:?}");
        assert!(found[0].latency_ns >= 10_000_000, "{found:?}");
    }

    /// Party 2 tells party 0 of a slow link and party 1 of a fast one: the two would compare numbers in different ways.
    #[test]
    fn a_party_that_tells_its_peers_different_things_ends_the_session() {
        let mut nets = MemNet::mesh_with_deadline(3, Duration::from_millis(500));
        let last = Tamper::new(nets.pop().unwrap(), |to, frame: Bytes| {
            vec![match (to, profile(&frame)) {
                (0, Some(told)) => encode(Profile {
                    latency_ns: 1_000_000_000,
                    ..told
                }),
                _ => frame,
            }]
        });
        let honest = nets.into_iter().map(boxed);
        let found = measured(honest.chain([boxed(last)]).collect());
        // Whoever notices first closes its links, which the others may see before they compare.
        assert!(found.iter().all(Result::is_err), "{found:?}");
        let noticed = |r: &Result<_, _>| matches!(r, Err(Error::PeerMisbehaved { .. }));
        assert!(found.iter().any(noticed), "{found:?}");
    }

    #[test]
    fn nonsense_names_its_sender() {
        let mut nets = MemNet::mesh_with_deadline(3, Duration::from_millis(500));
        let last = Tamper::new(nets.pop().unwrap(), |_, frame: Bytes| {
            vec![if frame.len() == 16 {
                Bytes::from_static(&[255; 16])
            } else {
                frame
            }]
        });
        let honest = nets.into_iter().map(boxed);
        let found = measured(honest.chain([boxed(last)]).collect());
        // Whoever notices first closes its links, which the other may see before it has looked.
        assert!(found[..2].iter().all(Result::is_err), "{found:?}");
        let noticed = |r: &Result<_, _>| matches!(r, Err(Error::PeerMisbehaved { peer: 2, .. }));
        assert!(found[..2].iter().any(noticed), "{found:?}");
    }
}
