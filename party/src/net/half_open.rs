//! Connections in their handshake: few at a time, and no address many of them.
//!
//! Whoever connects and says nothing holds a place until a deadline. So that strangers cannot keep everybody else out by it, the
//! newest connection always gets a place: where there is none left, the oldest connection of the address that holds most is
//! cut. An address is an IPv4 address, or the first 64 bits of an IPv6 one, of which one machine may have all that follow.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Threads that may be at work for each place: those whose connection was cut take a moment to notice.
const THREADS: usize = 4;

/// The places.
pub(super) struct HalfOpen {
    places: usize,
    /// Places of one address at most.
    of_one: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// The connections, by the order in which they came.
    open: BTreeMap<u64, (Source, TcpStream)>,
    /// Places that have not been left, those of connections that were cut among them.
    at_work: usize,
    /// Connections that were cut for others.
    cut: u64,
}

/// Who is taken for one and the same.
type Source = u64;

fn source(address: IpAddr) -> Source {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        // None of 2^32 or less is given to anybody.
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

/// A place, until this is dropped.
pub(super) struct Place {
    half_open: Arc<HalfOpen>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.half_open.lock();
        state.at_work -= 1;
        state.open.remove(&self.number);
    }
}

impl HalfOpen {
    pub(super) fn new(places: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            places: places.max(1),
            of_one: of_one.max(1),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from an address, and how many others were cut for it; `None` where connections come faster than
    /// they can be cut.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        socket: TcpStream,
    ) -> Option<(Place, u64)> {
        let mut state = self.lock();
        if state.at_work >= THREADS * self.places {
            return None;
        }
        let (number, source) = (state.next, source(address));
        state.next += 1;
        state.at_work += 1;
        state.open.insert(number, (source, socket));
        let before = state.cut;
        while state.held_by(source) > self.of_one {
            state.cut_oldest_of(source);
        }
        while state.open.len() > self.places {
            let most = state.holds_most();
            state.cut_oldest_of(most);
        }
        let cut = state.cut - before;
        let half_open = self.clone();
        Some((Place { half_open, number }, cut))
    }
}

impl State {
    fn held_by(&self, source: Source) -> usize {
        self.open.values().filter(|(s, _)| *s == source).count()
    }

    /// The source that holds most; among equals the one whose oldest connection is oldest.
    fn holds_most(&self) -> Source {
        let mut held: HashMap<Source, (usize, u64)> = HashMap::new();
        for (&number, (source, _)) in &self.open {
            held.entry(*source).or_insert((0, u64::MAX - number)).0 += 1;
        }
        let most = held.into_iter().max_by_key(|(_, held)| *held);
        most.map(|(source, _)| source).unwrap_or_default()
    }

    fn cut_oldest_of(&mut self, source: Source) {
        let oldest = self.open.iter().find(|(_, (s, _))| *s == source);
        if let Some((&number, _)) = oldest
            && let Some((_, socket)) = self.open.remove(&number)
        {
            // Wakes the thread that reads it.
            let _ = socket.shutdown(Shutdown::Both);
            self.cut += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    /// Both ends of a connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn is_cut(near: &mut TcpStream) -> bool {
        matches!(near.read(&mut [0]), Ok(0))
    }

    /// Strangers at many addresses, and one at a single address that takes all it gets.
    #[test]
    fn whoever_holds_most_makes_room_for_everybody_else() {
        let half_open = HalfOpen::new(8, 4);
        let mut places = Vec::new();
        let mut enter = |address: &str| {
            let (near, far) = pair();
            let entered = half_open.enter(address.parse().unwrap(), far);
            let (place, _) = entered.expect("threads are left");
            places.push(place);
            near
        };
        let mut member = enter("192.0.2.1");
        // Of one address there are four, the newest; of one network too.
        let mut greedy: Vec<TcpStream> = (0..20).map(|_| enter("198.51.100.7")).collect();
        let cut = greedy.iter_mut().map(is_cut).collect::<Vec<_>>();
        assert_eq!(cut.iter().filter(|cut| !**cut).count(), 4);
        assert!(!cut[16..].contains(&true));
        places.truncate(1);
        let mut enter = |address: &str| {
            let (near, far) = pair();
            places.push(half_open.enter(address.parse().unwrap(), far).unwrap().0);
            near
        };
        let mut network: Vec<TcpStream> = (0..20)
            .map(|k| enter(&format!("2001:db8:0:1:{k}::{k}")))
            .collect();
        let left = network.iter_mut().map(is_cut).filter(|cut| !cut).count();
        assert_eq!(left, 4);
        let mut mapped: Vec<TcpStream> = (0..4).map(|_| enter("::ffff:203.0.113.9")).collect();
        // Now all places are taken, and a newcomer costs one of those who hold four.
        let mut late = enter("203.0.113.10");
        assert!(!is_cut(&mut late) && !is_cut(&mut member));
        let held = network.iter_mut().chain(&mut mapped);
        assert_eq!(held.map(is_cut).filter(|cut| !cut).count(), 6);
        assert_eq!(half_open.lock().open.len(), 8);
        drop(places);
        assert!(half_open.lock().open.is_empty());
        assert_eq!(half_open.lock().at_work, 0);
    }

    #[test]
    fn threads_are_bounded_where_nobody_notices() {
        let half_open = HalfOpen::new(2, 2);
        let enter = |k: usize| {
            let (_, far) = pair();
            half_open.enter(format!("192.0.2.{k}").parse().unwrap(), far)
        };
        let places: Vec<_> = (0..20).map_while(enter).collect();
        assert_eq!(places.len(), 2 * THREADS);
    }
}
