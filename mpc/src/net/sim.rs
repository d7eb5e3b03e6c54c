//! Networks that are not here: latency and bandwidth by a logical clock, so that figures repeat to the digit.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::{Error, Transport};
use crate::PartyId;

/// A network: every directed link has this latency and bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// One-way delay in nanoseconds.
    pub latency_ns: u64,
    /// Bits a second a directed link carries.
    pub bits_per_second: u64,
}

impl Profile {
    /// 10 Gb/s, 0.2 ms round trip.
    pub const LAN: Self = Self {
        latency_ns: 100_000,
        bits_per_second: 10_000_000_000,
    };
    /// 100 Mb/s, 50 ms round trip.
    pub const WAN: Self = Self {
        latency_ns: 25_000_000,
        bits_per_second: 100_000_000,
    };
}

impl Profile {
    /// When the last bit of so many bytes is on the wire that are sent now over a link that is free from then on.
    pub(crate) fn sent(&self, now_ns: u64, free_ns: u64, bytes: usize) -> u64 {
        let wire = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.bits_per_second.max(1));
        now_ns.max(free_ns) + wire as u64
    }
}

#[derive(Default)]
struct Clock {
    now_ns: u64,
    link_free_ns: Vec<u64>,
}

/// A transport that stamps each frame with its simulated arrival; receiving moves the party's clock there.
/// Local computation takes no simulated time.
pub struct Sim<T> {
    inner: T,
    profile: Profile,
    clock: Mutex<Clock>,
}

impl<T: Transport> Sim<T> {
    /// `inner` under the given profile. All parties of a mesh must be wrapped.
    pub fn new(inner: T, profile: Profile) -> Self {
        Self {
            inner,
            profile,
            clock: Mutex::default(),
        }
    }

    /// Simulated seconds that have passed for this party.
    pub fn seconds(&self) -> f64 {
        self.clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .now_ns as f64
            * 1e-9
    }

    /// The same in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now_ns
    }

    /// Waits until this simulated time.
    pub fn advance_to(&self, ns: u64) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now_ns = clock.now_ns.max(ns);
    }
}

impl<T: Transport> Transport for Sim<T> {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        let arrival = {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            if clock.link_free_ns.len() <= to {
                clock.link_free_ns.resize(to + 1, 0);
            }
            let free = (self.profile).sent(clock.now_ns, clock.link_free_ns[to], frame.len());
            clock.link_free_ns[to] = free;
            free + self.profile.latency_ns
        };
        let mut stamped = BytesMut::with_capacity(frame.len() + 8);
        stamped.extend_from_slice(&arrival.to_le_bytes());
        stamped.extend_from_slice(&frame);
        self.inner.send(to, stamped.freeze())
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        let mut frame = self.inner.recv(from)?;
        let Some(stamp) = frame.first_chunk::<8>() else {
            return Err(Error::Io {
                peer: from,
                what: "a frame without its simulated time".into(),
            });
        };
        let arrival = u64::from_le_bytes(*stamp);
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now_ns = clock.now_ns.max(arrival);
        Ok(frame.split_off(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MemNet;

    #[test]
    fn a_round_trip_takes_two_latencies_and_the_wire_time() {
        let nets: Vec<_> = MemNet::mesh(2)
            .into_iter()
            .map(|n| Sim::new(n, Profile::WAN))
            .collect();
        nets[0].send(1, Bytes::from(vec![0; 12_500_000])).unwrap(); // one second at 100 Mb/s
        nets[1].recv(0).unwrap();
        nets[1].send(0, Bytes::new()).unwrap();
        nets[0].recv(1).unwrap();
        assert_eq!(nets[0].seconds(), 1.05);
    }
}
