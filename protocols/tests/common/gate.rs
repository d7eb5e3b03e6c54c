//! One gate between inputs and openings: what it gave and what it cost.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Cost;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::{Engine, Program};
use tacit_protocols::rep3::{Depth, Rep3Engine, Value};

/// n divides into aligned thirds, so that no bit is lost to padding.
pub const N: usize = 3 * 64 * 40;

pub fn column(values: impl IntoIterator<Item = f64>) -> ArrayD<f64> {
    let v: Vec<f64> = values.into_iter().collect();
    ArrayD::from_shape_vec(IxDyn(&[v.len()]), v).unwrap()
}

/// What a gate gave and what it cost: opened outputs, cost of each party before and after the gate.
pub struct Run {
    pub outputs: Vec<ArrayD<f64>>,
    pub before: Vec<Cost>,
    pub after: Vec<Cost>,
}

impl Run {
    pub fn bytes(&self) -> f64 {
        let sum = |c: &[Cost]| c.iter().map(|c| c.bytes as f64).sum::<f64>();
        sum(&self.after) - sum(&self.before)
    }

    pub fn rounds(&self) -> u64 {
        let longest = |c: &[Cost]| c.iter().map(|c| c.rounds).max().unwrap();
        longest(&self.after) - longest(&self.before)
    }

    /// Asserts rounds and bytes.
    #[track_caller]
    pub fn costs(&self, rounds: u64, bytes: f64) {
        assert_eq!(
            (self.rounds(), self.bytes()),
            (rounds, bytes),
            "rounds and bytes"
        );
    }
}

pub fn run(
    f: u32,
    depth: Depth,
    inputs: &[ArrayD<f64>],
    gate: impl Fn(&mut Rep3Engine, &[Value]) -> Vec<Value> + Sync,
) -> Run {
    let results = simulate_seeded(mem(), 7, |session| {
        let mut e = Rep3Engine::with_depth(session, f, depth).unwrap();
        let values: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| {
                let owner = k % 3;
                let mine = e.session().me() == owner;
                e.input(owner, x.shape(), mine.then_some(x)).unwrap()
            })
            .collect();
        e.begin_run().unwrap();
        let before = e.session().cost();
        let outputs = gate(&mut e, &values);
        let after = e.session().cost();
        (
            outputs
                .iter()
                .map(|y| e.reveal(y).unwrap())
                .collect::<Vec<_>>(),
            before,
            after,
        )
    });
    assert!(
        results.iter().all(|(o, ..)| *o == results[0].0),
        "all parties open the same"
    );
    Run {
        outputs: results[0].0.clone(),
        before: results.iter().map(|r| r.1).collect(),
        after: results.iter().map(|r| r.2).collect(),
    }
}

pub fn map(p: Program) -> impl Fn(&mut Rep3Engine, &[Value]) -> Vec<Value> + Sync {
    move |e, x| e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap()
}

pub fn grid(lo: f64, hi: f64, n: usize) -> ArrayD<f64> {
    column((0..n).map(|i| lo + (hi - lo) * i as f64 / (n - 1) as f64))
}
