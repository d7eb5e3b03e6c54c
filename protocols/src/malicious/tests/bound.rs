//! What a value and a factor are bound to: a value to its engine, a factor of a sparse product to its indices; and what memory a
//! log says it holds.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Error};
use tacit_nn::{Engine, Layout, Product, program};

use super::super::engine::MaliciousEngine;
use super::super::product::{Support, product};
use super::super::value::ForeignValue;
use super::unary;

/// Values of one engine are refused by every gate and opening of another one of the same party, before anything is sent.
#[test]
fn a_value_of_another_engine_is_refused_everywhere() {
    // Values cannot leave their thread: both engines of a party live in one.
    simulate_seeded(mem(), 3, |session| {
        let me = session.me();
        let x = ArrayD::from_shape_vec(IxDyn(&[2]), vec![1.0, 2.0]).unwrap();
        let alone = || {
            let nets = tacit_mpc::net::MemNet::mesh(3);
            let net = nets.into_iter().nth(me).unwrap();
            let prss = tacit_mpc::prss::Prss::from_seed(me, 7);
            let kernels = std::sync::Arc::from(tacit_mpc::kernels::cpu());
            let session = tacit_mpc::Session::new(std::sync::Arc::new(net), prss, kernels);
            MaliciousEngine::new(session, 18).unwrap()
        };
        let mut other = alone();
        let foreign = [other.trivial(&x).unwrap(), other.public(&x).unwrap()];
        let mut e = MaliciousEngine::new(session, 18).unwrap();
        let own = e.input(0, &[2], (me == 0).then_some(&x)).unwrap();
        e.begin_run().unwrap();
        let sent = e.session().cost().messages;
        let refused = |what: &str, e: tacit_nn::Error| match e {
            tacit_nn::Error::Protocol(e) => {
                assert_eq!(e.downcast_ref(), Some(&ForeignValue), "{what}: {e}");
            }
            other => panic!("{what}: {other}"),
        };
        for v in &foreign {
            let term = |x, y| Product {
                f: Bilinear::Mul,
                coefficient: 1,
                x,
                y,
            };
            refused("left", e.products(&[term(v, &own)], 1.0).unwrap_err());
            refused("right", e.products(&[term(&own, v)], 1.0).unwrap_err());
            refused("map", e.map(&program::relu(), &[v]).unwrap_err());
            refused(
                "layout",
                e.layout(&Layout::Reshape(vec![2, 1]), v).unwrap_err(),
            );
            refused("concat", e.concat(0, &[&own, v]).unwrap_err());
            refused("linear", e.linear(&[(1, &own), (2, v)], 0.0).unwrap_err());
            refused("release", e.release(&[&own, v]).unwrap_err());
        }
        assert_eq!(
            e.session().cost().messages,
            sent,
            "party {me} sent something"
        );
        e.begin_run().unwrap();
        let proved = e.prove().unwrap();
        for v in &foreign {
            refused("reveal", proved.reveal(v).unwrap_err());
            refused("reveal to one", proved.reveal_to(me, v).unwrap_err());
        }
        assert_eq!(proved.reveal(&own).unwrap(), x);
    });
}

/// A factor with a share where there should be none: stopped in tests, since no proof would notice that all parties leave it out.
#[test]
fn a_factor_outside_of_its_support_is_noticed() {
    for support in [
        Support::Neighbours(0),
        Support::Known(0),
        Support::PairBySingle(0),
    ] {
        let full = std::panic::catch_unwind(|| {
            unary(&[1, 2, 3], 4, async |c, x| {
                product(c, &[(x.clone(), x.clone())], support).await
            })
        });
        assert!(full.is_err(), "{support:?}");
    }
}

/// When to prove is one decision: parties whose logs had different sizes would come to it at different nodes.
#[test]
fn all_parties_hold_as_much_after_every_node() {
    for n in [1, 2, 1000, 2048, 5000] {
        let x = ArrayD::from_shape_fn(IxDyn(&[n, 1]), |i| 1.0 + i[0] as f64 / n as f64);
        let sizes = simulate_seeded(mem(), 3, |session| {
            let me = session.me();
            let mut e = MaliciousEngine::new(session, 18).unwrap();
            let x = e.input(0, &[n, 1], (me == 0).then_some(&x)).unwrap();
            let w = e.trivial(&ArrayD::from_elem(IxDyn(&[1, 3]), 0.5)).unwrap();
            e.begin_run().unwrap();
            let mut sizes = vec![e.logged_bytes()];
            let shifted = e.linear(&[(1, &x)], 0.25).unwrap();
            for (node, other) in [&x, &shifted].into_iter().enumerate() {
                e.begin_node(node * 8);
                e.bilinear(Bilinear::Mul, &x, other, 0.5).unwrap();
                sizes.push(e.logged_bytes());
                e.begin_node(node * 8 + 1);
                e.bilinear(Bilinear::MatMul, other, &w, 1.0).unwrap();
                sizes.push(e.logged_bytes());
                for (k, p) in [program::relu(), program::sigmoid(18), program::reciprocal()]
                    .iter()
                    .enumerate()
                {
                    e.begin_node(node * 8 + 2 + k);
                    e.map(p, &[other]).unwrap();
                    sizes.push(e.logged_bytes());
                }
            }
            sizes
        });
        assert!(sizes[0].is_sorted() && sizes[0][1] > 0, "{sizes:?}");
        assert!(sizes.iter().all(|s| *s == sizes[0]), "n = {n}: {sizes:?}");
    }
}

/// The bytes of a log are those of its vectors.
#[test]
fn a_log_knows_what_it_holds() {
    let n = 30_000;
    let x = ArrayD::from_shape_fn(IxDyn(&[n]), |i| i[0] as f64 / n as f64);
    let held = simulate_seeded(mem(), 3, |session| -> std::result::Result<_, Error> {
        let me = session.me();
        let mut e = MaliciousEngine::new(session, 18).unwrap();
        let x = e.input(0, &[n], (me == 0).then_some(&x)).unwrap();
        assert_eq!(e.logged_bytes(), 0);
        let mut p = tacit_nn::Program::new("square");
        let y = p.push(tacit_nn::program::Instr::Input(0));
        let bit = p.push(tacit_nn::program::Instr::Negative(y, None));
        p.outputs = vec![bit];
        e.begin_run().unwrap();
        e.map(&p, &[&x]).unwrap();
        let held = e.logged_bytes();
        e.prove().unwrap();
        assert_eq!(e.logged_bytes(), 0, "nothing is held after a proof");
        Ok(held as f64 / n as f64)
    });
    // A split: its word in shares and what is left of its relation, four vectors of 8 bytes counted wherever they are, and 181
    // conjunctions of 6 vectors of a bit.
    let want = 4.0 * 8.0 + 181.0 * 6.0 / 8.0;
    for held in held {
        let held = held.unwrap();
        assert!(
            (held / want - 1.0).abs() < 0.1,
            "{held} bytes a value, not {want}"
        );
    }
}
