//! The malicious engine against the integer specification, and against the semi-honest one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::ArrayD;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Conv};
use tacit_nn::{Engine, Product, Ring, run};
use tacit_protocols::malicious::{MaliciousEngine, Value};
use tacit_protocols::suite::{F, reals};

/// Runs `program` at three parties on shared inputs; what they open, and bytes and rounds of the program and its proof.
fn engines<T: Send + PartialEq + std::fmt::Debug>(
    inputs: &[ArrayD<f64>],
    program: impl Fn(&mut MaliciousEngine, &[Value]) -> T + Sync,
) -> T {
    let mut results = simulate_seeded(mem(), 11, |session| {
        let mut e = MaliciousEngine::new(session, F).unwrap();
        let shared: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| {
                let mine = e.session().me() == k % 3;
                e.input(k % 3, x.shape(), mine.then_some(x)).unwrap()
            })
            .collect();
        e.begin_run().unwrap();
        program(&mut e, &shared)
    });
    assert!(
        results.iter().all(|r| *r == results[0]),
        "all parties open the same"
    );
    results.swap_remove(0)
}

#[track_caller]
fn close(got: &ArrayD<f64>, want: &ArrayD<f64>, units: f64) {
    assert_eq!(got.shape(), want.shape());
    for (g, w) in got.iter().zip(want) {
        assert!(
            (g - w).abs() <= units * 2f64.powi(-(F as i32)),
            "{g} instead of {w}"
        );
    }
}

/// Sums of every kind of product, with shared and public operands, rounded once.
#[test]
fn sums_of_products_are_those_of_the_ring() {
    let c = Conv {
        groups: 2,
        stride: [2, 1, 1],
        ..Conv::new(&[7, 6], &[3, 2])
    };
    let x = reals(&[2, 4, 7, 6], 1);
    let w = reals(&[6, 2, 3, 2], 2);
    let like = reals(
        &Bilinear::Conv(c)
            .output_shape(x.shape(), w.shape())
            .unwrap(),
        3,
    );
    let want = {
        let mut ring = Ring::new(F);
        let [x, w, y] = [&x, &w, &like].map(|x| ring.encode(x).unwrap());
        let terms = [
            Product {
                f: Bilinear::Conv(c),
                coefficient: 2,
                x: &x,
                y: &w,
            },
            Product {
                f: Bilinear::Mul,
                coefficient: -3,
                x: &y,
                y: &y,
            },
            Product {
                f: Bilinear::Conv(c),
                coefficient: 1,
                x: &x,
                y: &w,
            },
        ];
        let z = ring.products(&terms, 0.75).unwrap();
        ring.decode(&z)
    };
    for publics in [
        [false; 3],
        [true, false, false],
        [false, true, true],
        [true, true, false],
        [true; 3],
    ] {
        let got = engines(&[x.clone(), w.clone(), like.clone()], |e, v| {
            let values: Vec<Value> = [&x, &w, &like]
                .into_iter()
                .zip(v)
                .zip(publics)
                .map(|((x, v), public)| {
                    if public {
                        e.public(x).unwrap()
                    } else {
                        v.clone()
                    }
                })
                .collect();
            let terms = [
                Product {
                    f: Bilinear::Conv(c),
                    coefficient: 2,
                    x: &values[0],
                    y: &values[1],
                },
                Product {
                    f: Bilinear::Mul,
                    coefficient: -3,
                    x: &values[2],
                    y: &values[2],
                },
                Product {
                    f: Bilinear::Conv(c),
                    coefficient: 1,
                    x: &values[0],
                    y: &values[1],
                },
            ];
            let z = e.products(&terms, 0.75).unwrap();
            e.reveal(&z).unwrap()
        });
        close(&got, &want, 1.0);
    }
}

/// 24 bytes an output, however deep the product, and the truncation.
#[test]
fn matrix_products_cost_their_outputs_only() {
    let (m, k, n) = (48, 70, 36);
    let (x, y) = (reals(&[m, k], 4), reals(&[k, n], 5));
    let want = {
        let mut ring = Ring::new(F);
        let [x, y] = [&x, &y].map(|x| ring.encode(x).unwrap());
        let z = ring.bilinear(Bilinear::MatMul, &x, &y, 1.0).unwrap();
        ring.decode(&z)
    };
    let costs = simulate_seeded(mem(), 6, |session| {
        let mut e = MaliciousEngine::new(session, F).unwrap();
        let me = e.session().me();
        let x = e.input(0, x.shape(), (me == 0).then_some(&x)).unwrap();
        let y = e.input(1, y.shape(), (me == 1).then_some(&y)).unwrap();
        e.begin_run().unwrap();
        let before = e.session().cost();
        let z = e.bilinear(Bilinear::MatMul, &x, &y, 1.0).unwrap();
        let after = e.session().cost();
        close(&e.reveal(&z).unwrap(), &want, 1.0);
        (after.bytes - before.bytes, after.rounds - before.rounds)
    });
    let bytes: u64 = costs.iter().map(|c| c.0).sum();
    assert_eq!(
        bytes as f64 / (m * n) as f64,
        24.0 + 16.0 + 3.0 * 18.0 / 8.0
    );
    assert_eq!(costs.iter().map(|c| c.1).max(), Some(3));
}

/// With nothing allowed to stay in the log every node is proved by itself, and the result is the same.
#[test]
fn proofs_in_between_change_nothing() {
    let g = common::training_step();
    let inputs = [reals(&[6, 4], 3), reals(&[6, 1], 4), reals(&[4, 1], 5)];
    let run_with = |every: usize| {
        let rounds = AtomicU64::new(0);
        let opened = engines(&inputs, |e, v| {
            e.verify_every(every);
            let out = run(&g, e, v).unwrap();
            rounds.fetch_max(e.session().cost().rounds, Ordering::Relaxed);
            let opened = out.iter().map(|y| e.reveal(y).unwrap());
            opened.collect::<Vec<_>>()
        });
        (opened, rounds.into_inner())
    };
    let (once, often) = (run_with(usize::MAX), run_with(0));
    assert_eq!(once.0, often.0);
    assert!(once.1 < often.1, "proofs in between take rounds");
}

/// What recipients put together from the parties' shares, each of which comes twice.
#[test]
fn released_shares_agree_and_add_up() {
    let x = reals(&[100], 8);
    let releases = simulate_seeded(mem(), 9, |session| {
        let mut e = MaliciousEngine::new(session, F).unwrap();
        let me = e.session().me();
        let v = e.input(1, &[100], (me == 1).then_some(&x)).unwrap();
        let y = e.public(&x).unwrap();
        e.release(&[&v, &y]).unwrap()
    });
    for j in 0..3 {
        let copies = |p: usize| releases[p % 3].copies.as_ref().unwrap();
        assert_eq!(releases[j].own, copies(j + 2).next, "index {j}");
        // The salt of an index is known to its two holders, and another for each index.
        assert_eq!(copies(j).salts[0], copies(j + 2).salts[1], "index {j}");
        assert_ne!(copies(j).salts[0], copies(j).salts[1], "index {j}");
    }
    for k in 0..200 {
        let word = releases.iter().fold(0u64, |s, r| s.wrapping_add(r.own[k]));
        let got = word as i64 as f64 * 2f64.powi(-(F as i32));
        let want = x.as_slice().unwrap()[k % 100];
        assert!((got - want).abs() < 2f64.powi(-(F as i32)));
    }
}

#[test]
fn openings_to_one_party_show_it_to_nobody_else() {
    let x = reals(&[70], 10);
    let opened = simulate_seeded(mem(), 12, |session| {
        let mut e = MaliciousEngine::new(session, F).unwrap();
        let me = e.session().me();
        let v = e.input(0, &[70], (me == 0).then_some(&x)).unwrap();
        e.prove().unwrap().reveal_to(2, &v).unwrap()
    });
    assert!(opened[0].is_none() && opened[1].is_none());
    close(opened[2].as_ref().unwrap(), &x, 1.0);
}
