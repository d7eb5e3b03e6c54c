//! The engine that is derived from primitives, on the protocol of Araki et al., against the integer specification.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::araki::Araki;
use common::gate::{column, grid};
use common::reals;
use ndarray::ArrayD;
use tacit_mpc::Bilinear;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Program, Ring, program};
use tacit_protocols::derived::{DerivedEngine, Value};

const F: u32 = 18;

type Araki3 = DerivedEngine<Araki>;

/// What a gate gives on shares and in the ring.
struct Run {
    shared: Vec<ArrayD<f64>>,
    ring: Vec<ArrayD<f64>>,
}

fn run(
    inputs: &[ArrayD<f64>],
    exactly: bool,
    shared: impl Fn(&mut Araki3, &[Value]) -> Vec<Value> + Sync,
    ring: impl Fn(&mut Ring, &[tacit_mpc::Tensor]) -> Vec<tacit_mpc::Tensor>,
) -> Run {
    let results = simulate_seeded(mem(), 7, |session| {
        let mut e = DerivedEngine::new(Araki, session, F).unwrap();
        if exactly {
            e.round_exactly((0..8).collect());
        }
        let values: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| {
                let mine = e.session().me() == k % 3;
                e.input(k % 3, x.shape(), mine.then_some(x)).unwrap()
            })
            .collect();
        e.begin_run().unwrap();
        e.begin_node(0);
        let outputs = shared(&mut e, &values);
        outputs
            .iter()
            .map(|y| e.reveal(y).unwrap())
            .collect::<Vec<_>>()
    });
    assert!(
        results.iter().all(|o| *o == results[0]),
        "all parties open the same"
    );
    let mut r = Ring::new(F);
    let inputs: Vec<_> = inputs.iter().map(|x| r.encode(x).unwrap()).collect();
    let ring = ring(&mut r, &inputs);
    Run {
        shared: results[0].clone(),
        ring: ring.iter().map(|x| r.decode(x)).collect(),
    }
}

impl Run {
    /// The greatest difference in units of the last place.
    fn units(&self) -> f64 {
        let all = self.shared.iter().zip(&self.ring);
        let units = all.map(|(a, b)| {
            assert_eq!(a.shape(), b.shape());
            (a - b).iter().fold(0.0, |m: f64, d| m.max(d.abs())) * 2f64.powi(F as i32)
        });
        units.fold(0.0, f64::max)
    }
}

/// Bits are opened as numbers.
fn map(p: &Program, inputs: &[ArrayD<f64>]) -> Run {
    let (mut p, bits) = (p.clone(), p.types().unwrap());
    for k in 0..p.outputs.len() {
        if bits[p.outputs[k]] {
            p.outputs[k] = p.push(Instr::ToArithmetic(p.outputs[k]));
        }
    }
    run(
        inputs,
        false,
        |e, x| e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap(),
        |e, x| e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap(),
    )
}

#[test]
fn products_of_every_kind_are_right_to_a_unit_and_to_none_exactly() {
    let (x, y) = (reals(&[7, 5], 1) * 50.0, reals(&[5, 9], 2) * 50.0);
    for exactly in [false, true] {
        for scale in [1.0, -0.3, 0.0625] {
            let r = run(
                &[x.clone(), y.clone()],
                exactly,
                |e, x| vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], scale).unwrap()],
                |e, x| vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], scale).unwrap()],
            );
            assert!(
                r.units() <= f64::from(u8::from(!exactly)),
                "{} units",
                r.units()
            );
            let r = run(
                &[x.clone(), x.clone() * 0.5],
                exactly,
                |e, x| vec![e.bilinear(Bilinear::Mul, &x[0], &x[1], scale).unwrap()],
                |e, x| vec![e.bilinear(Bilinear::Mul, &x[0], &x[1], scale).unwrap()],
            );
            assert!(
                r.units() <= f64::from(u8::from(!exactly)),
                "{} units",
                r.units()
            );
        }
    }
}

/// Up to the bound of 2^62, where statistical masks would fail.
#[test]
fn truncation_holds_up_to_its_bound() {
    let top = 2f64.powi(62 - F as i32);
    let edges = [top - 0.001, -top + 0.001, 0.0, -0.00001, top / 2.0, -1.0];
    let x = column((0..600).map(|i| edges[i % 6] * (1.0 - (i / 6) as f64 / 1000.0)));
    for exactly in [false, true] {
        let p = program::scale(0.0625);
        let r = run(
            std::slice::from_ref(&x),
            exactly,
            |e, x| e.map(&p, &[&x[0]]).unwrap(),
            |e, x| e.map(&p, &[&x[0]]).unwrap(),
        );
        assert!(
            r.units() <= f64::from(u8::from(!exactly)),
            "{} units",
            r.units()
        );
    }
}

#[test]
fn comparisons_and_choices_are_exact() {
    let top = 2f64.powi(60 - F as i32);
    let mut words: Vec<f64> = grid(-3.0, 3.0, 401).into_iter().collect();
    words.extend([top, -top, 0.0, 2f64.powi(-18), -(2f64.powi(-18)), 0.0]);
    let x = column(words);
    let y = x.mapv(|x| if x > 1.0 { x } else { -x });
    for p in [
        program::relu(),
        program::max(),
        program::sign(),
        program::floor(),
        program::zero(),
    ] {
        let inputs = [x.clone(), y.clone()];
        let r = map(&p, &inputs[..p.inputs()]);
        assert_eq!(r.units(), 0.0, "{}", p.name);
    }
}
