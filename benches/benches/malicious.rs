//! The same work on `rep3` and on `rep3-malicious`, three parties in one process, in memory: processor seconds of all parties,
//! bytes, rounds and memory, side by side. The two run in turn, and the least seconds of several runs count, because other work
//! on the machine only adds.
//!
//! `cargo bench -p tacit-benches --bench malicious [-- NAME…]`; `RUNS=n` says how often, `ONLY=rep3-malicious` leaves one
//! out, `VERIFY_EVERY=bytes` is the engine's setting of that name.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panicking")]

use std::sync::{Barrier, Mutex};

use ndarray::{ArrayD, IxDyn};
use rustix::time::{ClockId, clock_gettime};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Conv, Cost, Session};
use tacit_nn::program::{self, Instr};
use tacit_nn::{Edge, Engine, Graph, Program, gradients, run};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;
const FRACTION_BITS: u32 = 18;

/// What both engines can do.
trait Side: Engine + Sized {
    const NAME: &'static str;

    fn over(session: Session) -> Self;

    fn share(&mut self, x: &ArrayD<f64>) -> Self::Value;

    fn words(&mut self, f: Bilinear, x: &[Self::Value]);

    /// Everything before an opening but the opening.
    fn settle(&mut self);

    fn cost(&self) -> Cost;
}

impl Side for Rep3Engine {
    const NAME: &'static str = "rep3";

    fn over(session: Session) -> Self {
        Self::new(session, FRACTION_BITS).unwrap()
    }

    fn share(&mut self, x: &ArrayD<f64>) -> Self::Value {
        self.input(0, x.shape(), Some(x)).unwrap()
    }

    fn words(&mut self, f: Bilinear, x: &[Self::Value]) {
        self.product(f, &x[0], &x[1]).unwrap();
    }

    fn settle(&mut self) {}

    fn cost(&self) -> Cost {
        self.session().cost()
    }
}

impl Side for MaliciousEngine {
    const NAME: &'static str = "rep3-malicious";

    fn over(session: Session) -> Self {
        let mut engine = Self::new(session, FRACTION_BITS).unwrap();
        if let Ok(bytes) = std::env::var("VERIFY_EVERY") {
            engine.verify_every(bytes.parse().unwrap());
        }
        engine
    }

    fn share(&mut self, x: &ArrayD<f64>) -> Self::Value {
        let mine = (self.session().me() == 0).then_some(x);
        self.input(0, x.shape(), mine).unwrap()
    }

    fn words(&mut self, f: Bilinear, x: &[Self::Value]) {
        self.product(f, &x[0], &x[1]).unwrap();
    }

    fn settle(&mut self) {
        self.prove().unwrap();
    }

    fn cost(&self) -> Cost {
        self.session().cost()
    }
}

/// What is done with the inputs.
enum Work {
    /// A bilinear map without rounding.
    Words(Bilinear),
    /// The same, rounded.
    Rounded(Bilinear),
    Map(Program),
    Graph(Graph),
}

struct Case {
    name: &'static str,
    shapes: Vec<Vec<usize>>,
    work: Work,
}

impl Case {
    fn new(name: &'static str, shapes: &[&[usize]], work: Work) -> Self {
        Self {
            name,
            shapes: shapes.iter().map(|s| s.to_vec()).collect(),
            work,
        }
    }

    fn run<E: Side>(&self, e: &mut E, x: &[E::Value]) {
        e.begin_run().unwrap();
        match &self.work {
            Work::Words(f) => e.words(*f, x),
            Work::Rounded(f) => drop(e.bilinear(*f, &x[0], &x[1], 1.0).unwrap()),
            Work::Map(p) => drop(e.map(p, &x.iter().collect::<Vec<_>>()).unwrap()),
            Work::Graph(g) => drop(run(g, e, x).unwrap()),
        }
    }
}

/// A network and the shapes of its inputs.
#[derive(Default)]
struct Network {
    g: Graph,
    shapes: Vec<Vec<usize>>,
}

impl Network {
    fn input(&mut self, shape: &[usize]) -> Edge {
        self.shapes.push(shape.to_vec());
        self.g.input(shape)
    }

    fn dense(&mut self, x: Edge, from: usize, to: usize) -> (Edge, [Edge; 2]) {
        let (w, b) = (self.input(&[from, to]), self.input(&[1, to]));
        let z = self.g.matmul(x, w).unwrap();
        (self.g.add(z, b).unwrap(), [w, b])
    }

    fn perceptron(&mut self) -> (Edge, Vec<Edge>) {
        let mut x = self.input(&[BATCH, 784]);
        let mut weights = Vec::new();
        for (k, (from, to)) in [(784, 128), (128, 128), (128, 10)].into_iter().enumerate() {
            if k > 0 {
                x = self.g.relu(x).unwrap();
            }
            let (z, wb) = self.dense(x, from, to);
            x = z;
            weights.extend(wb);
        }
        (x, weights)
    }

    fn case(self, name: &'static str) -> Case {
        Case {
            name,
            shapes: self.shapes,
            work: Work::Graph(self.g),
        }
    }
}

/// Logits of 784-128-128-10.
fn mlp() -> Case {
    let mut n = Network::default();
    let (logits, _) = n.perceptron();
    n.g.output(logits);
    n.case("mlp")
}

/// One step of descent on it, mean cross-entropy.
fn step() -> Case {
    let mut n = Network::default();
    let (logits, weights) = n.perceptron();
    let labels = n.input(&[BATCH, 10]);
    let losses = n.g.softmax_cross_entropy(logits, labels).unwrap();
    let loss = n.g.mean(losses, 0).unwrap();
    let by = gradients(&mut n.g, loss, &weights).unwrap();
    for (w, dw) in weights.into_iter().zip(by) {
        let change = n.g.scale(dw, 0.125).unwrap();
        let new = n.g.sub(w, change).unwrap();
        n.g.output(new);
    }
    n.case("mlp_train")
}

/// Logits of 20c5-50c5-500-10 on 28 by 28, the maximum before the ReLU.
fn lenet() -> Case {
    let mut n = Network::default();
    let mut x = n.input(&[BATCH, 1, 28, 28]);
    for (from, to, side) in [(1, 20, 28), (20, 50, 12)] {
        let (w, b) = (n.input(&[to, from, 5, 5]), n.input(&[1, to, 1, 1]));
        let conv = Bilinear::Conv(Conv::new(&[side, side], &[5, 5]));
        let z = n.g.bilinear(conv, x, w).unwrap();
        let mut z = n.g.add(z, b).unwrap();
        for axis in [2, 3] {
            let len = n.g.shape(z).unwrap()[axis];
            let half = |from: usize| (from..len).step_by(2).collect::<Vec<_>>();
            let even = n.g.gather(z, axis, &half(0)).unwrap();
            let odd = n.g.gather(z, axis, &half(1)).unwrap();
            z = n.g.max(even, odd).unwrap();
        }
        x = n.g.relu(z).unwrap();
    }
    let x = n.g.reshape(x, &[BATCH, 800]).unwrap();
    let (x, _) = n.dense(x, 800, 500);
    let x = n.g.relu(x).unwrap();
    let (logits, _) = n.dense(x, 500, 10);
    n.g.output(logits);
    n.case("lenet")
}

fn cases() -> Vec<Case> {
    let million: &[usize] = &[1_000_000];
    let square: &[usize] = &[256, 256];
    let mut sign = Program::new("sign");
    let x = sign.push(Instr::Input(0));
    sign.outputs = vec![sign.push(Instr::Negative(x, None))];
    let mut lenets = vec![lenet(), mlp(), step()];
    let mut cases = vec![
        Case::new("mul", &[million, million], Work::Words(Bilinear::Mul)),
        Case::new(
            "mul_trunc",
            &[million, million],
            Work::Rounded(Bilinear::Mul),
        ),
        Case::new("sign", &[million], Work::Map(sign)),
        Case::new(
            "relu",
            &[million],
            Work::Map(program::relu().keep("relu", &[0])),
        ),
        Case::new("matmul", &[square, square], Work::Words(Bilinear::MatMul)),
        Case::new(
            "matmul_trunc",
            &[square, square],
            Work::Rounded(Bilinear::MatMul),
        ),
    ];
    cases.append(&mut lenets);
    cases
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Processor seconds until the last value is computed, and of the proof after it.
    seconds: [f64; 2],
    bytes: u64,
    rounds: u64,
    megabytes: u64,
}

/// Processor seconds of this process.
fn seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// The most memory resident since [`forget_peak`], in megabytes; 0 where the system does not tell.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok(); // elsewhere the account goes on
}

/// Several runs of a case, in one session.
fn measure<E: Side>(case: &Case, runs: usize) -> Vec<Figures> {
    let turn = Barrier::new(4);
    let costs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let clock = scope.spawn(|| {
            let mut figures = Vec::new();
            for _ in 0..runs {
                turn.wait();
                forget_peak();
                let start = seconds();
                turn.wait();
                turn.wait();
                let computed = seconds();
                turn.wait();
                turn.wait();
                let parties: Vec<Cost> = std::mem::take(&mut costs.lock().unwrap());
                figures.push(Figures {
                    seconds: [computed - start, seconds() - computed],
                    bytes: parties.iter().map(|c| c.bytes).sum(),
                    rounds: parties.iter().map(|c| c.rounds).max().unwrap(),
                    megabytes: peak(),
                });
            }
            figures
        });
        simulate_seeded(mem(), 1, |session| {
            let mut e = E::over(session);
            let inputs: Vec<E::Value> = case
                .shapes
                .iter()
                .map(|shape| e.share(&ArrayD::from_elem(IxDyn(shape), -0.125)))
                .collect();
            e.settle();
            for _ in 0..runs {
                let before = e.cost();
                turn.wait();
                turn.wait();
                case.run(&mut e, &inputs);
                turn.wait();
                turn.wait();
                e.settle();
                let after = e.cost();
                costs.lock().unwrap().push(Cost {
                    bytes: after.bytes - before.bytes,
                    rounds: after.rounds - before.rounds,
                    ..after
                });
                turn.wait();
            }
        });
        clock.join().unwrap()
    })
}

fn print(case: &str, side: &str, figures: &[Figures]) {
    let total = |f: &Figures| f.seconds[0] + f.seconds[1];
    let least = figures
        .iter()
        .min_by(|a, b| total(a).total_cmp(&total(b)))
        .unwrap();
    println!(
        "{case:13} {side:15} {:7.3} CPU s ({:.3} + proof {:.3})  {:12} bytes  {:3} rounds  {:5} MB",
        total(least),
        least.seconds[0],
        least.seconds[1],
        least.bytes,
        least.rounds,
        figures.iter().map(|f| f.megabytes).max().unwrap(),
    );
}

fn main() {
    // As the binaries set it (`tacit_party::memory`). SAFETY: sets a number in the allocator.
    unsafe { libmimalloc_sys::mi_option_set_default(15, 10_000) };
    let runs: usize = std::env::var("RUNS").map_or(5, |n| n.parse().unwrap());
    let only = std::env::var("ONLY").ok();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for case in cases() {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == case.name) {
            continue;
        }
        let asked = |name| only.as_ref().is_none_or(|o| o == name);
        if asked(Rep3Engine::NAME) {
            print(
                case.name,
                Rep3Engine::NAME,
                &measure::<Rep3Engine>(&case, runs),
            );
        }
        if asked(MaliciousEngine::NAME) {
            let figures = measure::<MaliciousEngine>(&case, runs);
            print(case.name, MaliciousEngine::NAME, &figures);
        }
    }
}
