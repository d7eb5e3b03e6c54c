//! What the malicious engine says of its memory, against the allocator.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::reals;
use common::secure::Secure;
use tacit_mpc::counted::{Counted, held, peak};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Conv};
use tacit_nn::{Engine, program};
use tacit_protocols::malicious::MaliciousEngine;

#[global_allocator]
static COUNTED: Counted = Counted;

/// What gates leave in memory beside their results is no more than the engine says, and not much less: all parties count alike,
/// whatever they hold by their roles.
#[test]
fn logged_bytes_are_those_that_the_allocator_gave() {
    let n = 40_000;
    simulate_seeded(mem(), 1, |session| {
        let mut e = MaliciousEngine::start(session, 18).unwrap();
        let x = e.share(0, &reals(&[n], 1)).unwrap();
        let m = e.share(1, &reals(&[200, 200], 2)).unwrap();
        e.begin_run().unwrap();
        let before = held();
        assert_eq!(e.logged_bytes(), 0);
        let mut outputs = Vec::new();
        outputs.push(e.bilinear(Bilinear::Mul, &x, &x, 1.0).unwrap());
        e.begin_node(1);
        outputs.extend(e.map(&program::relu(), &[&x]).unwrap());
        e.begin_node(2);
        outputs.push(e.bilinear(Bilinear::MatMul, &m, &m, 1.0).unwrap());
        // Numbers have 16 bytes here; the operands of the matrix product are counted and were there before.
        let kept = (3 * n + n / 64) as f64 * 16.0 - (200.0 * 200.0) * 16.0;
        let held = (held() - before) as f64 - kept;
        let said = e.logged_bytes() as f64;
        assert!(said > 1e7, "{said}");
        // Operands count for every gate that has them.
        let part = held / said;
        assert!((0.5..1.02).contains(&part), "{held} held, {said} said");
    });
}

#[test]
fn a_limit_bounds_what_is_held_between_proofs() {
    let (n, limit) = (1200, 1 << 20);
    simulate_seeded(mem(), 1, |session| {
        let mut e = MaliciousEngine::start(session, 18).unwrap();
        e.verify_every(limit);
        let x = e.share(0, &reals(&[n], 1)).unwrap();
        e.begin_run().unwrap();
        let start = held();
        let (mut most, mut one, mut before) = (0, 0, 0);
        for node in 0..12 {
            e.begin_node(node);
            e.map(&program::relu(), &[&x]).unwrap();
            let held = held() - start;
            one = one.max(held - before);
            before = held;
            most = most.max(held);
        }
        assert!(one > 1 << 18, "a node logs {one}");
        assert!(
            most < limit as isize * 5 / 4,
            "{most} held with a limit of {limit}"
        );
    });
}

/// The proof of a convolution of many groups takes no more memory than that of as many channels without groups.
#[test]
fn groups_of_a_convolution_are_compressed_one_after_the_other() {
    let proof = |groups: usize| {
        let c = Conv {
            groups,
            pad_begin: [1, 1, 0],
            pad_end: [1, 1, 0],
            ..Conv::new(&[16, 16], &[3, 3])
        };
        let peaks = simulate_seeded(mem(), 1, |session| {
            let mut e = MaliciousEngine::start(session, 18).unwrap();
            let x = e.share(0, &reals(&[4, 64, 16, 16], 1)).unwrap();
            let w = e.share(1, &reals(&[64, 64 / groups, 3, 3], 2)).unwrap();
            e.begin_run().unwrap();
            e.bilinear(Bilinear::Conv(c), &x, &w, 1.0).unwrap();
            peak(|| e.prove().unwrap()).1
        });
        peaks.into_iter().max().unwrap()
    };
    let (one, many) = (proof(1), proof(64));
    println!("{one} bytes for a proof without groups, {many} with 64");
    assert!(many < one + (1 << 20), "{many} with groups, {one} without");
}
