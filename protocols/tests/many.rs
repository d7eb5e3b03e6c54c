//! More parties than two or three on additive shares: what is computed, and that a run repeated is the same run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::gate::column;
use common::reals;
use tacit_mpc::net::{Error as NetError, MemNet, Profile, Sim, Transport};
use tacit_mpc::simulate::{mem_of, simulate_seeded};
use tacit_mpc::{Bilinear, Cost, PartyId, Session};
use tacit_nn::Engine;
use tacit_nn::program::{self, Program};
use tacit_protocols::additive::{Additive, AdditiveEngine};

const F: u32 = 18;

fn engine(session: Session, dealer: bool) -> AdditiveEngine {
    let protocol = if dealer {
        Additive::dealt(&session, session.parties() - 1)
    } else {
        Additive::oblivious(&session)
    };
    AdditiveEngine::new(protocol.unwrap(), session, F).unwrap()
}

/// Links on which every frame is late by some time of its own, up to a third of a millisecond, another one in every run.
struct Late {
    inner: MemNet,
    state: AtomicU64,
}

impl Late {
    fn wait(&self) {
        let add = |s: u64| Some(s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        let state = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        std::thread::sleep(Duration::from_nanos((state.unwrap() >> 32) % 300_000));
    }
}

impl Transport for Late {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), NetError> {
        self.wait();
        self.inner.send(to, frame)
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, NetError> {
        self.wait();
        self.inner.recv(from)
    }
}

/// What a run over a simulated network costs each party: its time in nanoseconds, and what its session counts.
fn simulated(computing: usize, dealer: bool, delays: u64) -> Vec<(u64, Cost)> {
    let parties = computing + usize::from(dealer);
    let late = |inner: MemNet| {
        let seed = delays * 1000 + inner.me() as u64;
        let state = AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Arc::new(Sim::new(Late { inner, state }, Profile::WAN))
    };
    let nets: Vec<_> = MemNet::mesh(parties).into_iter().map(late).collect();
    let links = nets.iter().map(|n| Arc::clone(n) as Arc<dyn Transport>);
    // By transfers few, which are dear; by a dealer enough for several windows, for openings through one party and for the bound.
    let n = if dealer { 3 * 4096 + 100 } else { 70 };
    let costs = simulate_seeded(links.collect(), 5, |session| {
        session.set_window(2);
        let mut e = engine(session, dealer);
        if dealer {
            e.session().bound_lead(computing, 1 << 15);
        }
        let me = e.session().me();
        let x = reals(&[n], 1);
        let m = reals(&[20, 20], 2);
        let x = e.input(0, &[n], (me == 0).then_some(&x)).unwrap();
        let m = e.input(1, &[20, 20], (me == 1).then_some(&m)).unwrap();
        e.begin_run().unwrap();
        let m = e.bilinear(Bilinear::MatMul, &m, &m, 1.0).unwrap();
        e.begin_node(1);
        let y = e.map(&program::relu(), &[&x]).unwrap();
        e.begin_node(2);
        let z = e.bilinear(Bilinear::Mul, &y[0], &x, 1.0).unwrap();
        e.reveal(&m).unwrap();
        e.reveal(&z).unwrap();
        e.session().cost()
    });
    nets.iter().map(|n| n.now_ns()).zip(costs).collect()
}

/// "A run repeated gives the same bytes, rounds and simulated times to the digit": whenever frames come.
#[test]
fn delays_of_frames_change_no_figure() {
    for (computing, dealer) in [(4, true), (5, true), (4, false)] {
        let first = simulated(computing, dealer, 1);
        assert!(first[..computing].iter().all(|(ns, _)| *ns > 100_000_000));
        for delays in 2..5 {
            assert_eq!(
                simulated(computing, dealer, delays),
                first,
                "{computing} parties, dealer: {dealer}, delays {delays}"
            );
        }
    }
}

/// A program at all of many parties against its function.
fn maps(computing: usize, dealer: bool, p: &Program, of: impl Fn(f64) -> f64, xs: &[f64]) {
    let x = column(xs.iter().copied());
    let shape = x.shape().to_vec();
    let parties = mem_of(computing + usize::from(dealer));
    let results = simulate_seeded(parties, 3, |session| {
        let mut e = engine(session, dealer);
        // The last of those that compute gives it in.
        let (me, owner) = (e.session().me(), computing - 1);
        let x = e.input(owner, &shape, (me == owner).then_some(&x)).unwrap();
        e.begin_run().unwrap();
        let y = e.map(p, &[&x]).unwrap();
        e.reveal(&y[0]).unwrap()
    });
    for y in &results[..computing] {
        for (x, y) in xs.iter().zip(y) {
            let want = of(*x);
            let close = (y - want).abs() < 1e-3 * want.abs().max(1.0);
            assert!(
                close,
                "{computing} parties, dealer: {dealer}: f({x}) = {y}, not {want}"
            );
        }
    }
}

/// As many parties as the command takes, with a dealer: programs with many roundings, tables and conversions.
#[test]
fn eight_and_sixteen_parties_with_a_dealer() {
    let xs = [-7.5, -1.0, -0.25, 0.5, 1.0, 3.75, 100.0];
    for computing in [8, 16] {
        maps(computing, true, &program::relu(), |x| x.max(0.0), &xs);
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        maps(computing, true, &program::sigmoid(F), logistic, &xs);
        maps(
            computing,
            true,
            &program::reciprocal(),
            |x| 1.0 / x,
            &xs[3..],
        );
        maps(
            computing,
            true,
            &program::softsign(),
            |x| x / (1.0 + x.abs()),
            &xs,
        );
    }
}

/// And without one: masks are made among all of them, of 2n - 1 conversions each.
#[test]
fn eight_parties_by_transfers() {
    maps(8, false, &program::relu(), |x| x.max(0.0), &[-1.0, 3.75]);
}

/// Sixteen, and a program with several roundings.
#[test]
#[ignore = "two minutes"]
fn sixteen_parties_by_transfers() {
    let softsign = |x: f64| x / (1.0 + x.abs());
    maps(16, false, &program::softsign(), softsign, &[-1.0, 3.75]);
}
