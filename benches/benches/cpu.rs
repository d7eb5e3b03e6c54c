//! Processor seconds of each gate with all three parties in one process, in memory: what is left when sockets and TLS are
//! taken away. The least of several runs, because other work on the machine only adds.
//!
//! `cargo bench -p tacit-benches --bench cpu [-- NAME…]`
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panicking")]

use ndarray::{ArrayD, IxDyn};
use rustix::time::{ClockId, clock_gettime};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Conv};
use tacit_nn::program::{self, Instr};
use tacit_nn::{Engine, Graph, Program, run};
use tacit_protocols::rep3::{Rep3Engine, Value};

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 15;

/// Processor seconds of this process.
fn seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// A gate over inputs of these shapes.
struct Gate {
    name: &'static str,
    shapes: Vec<Vec<usize>>,
    run: Box<dyn Fn(&mut Rep3Engine, &[Value]) + Sync>,
}

fn map(p: Program) -> Box<dyn Fn(&mut Rep3Engine, &[Value]) + Sync> {
    Box::new(move |e, x| drop(e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap()))
}

fn bilinear(f: Bilinear) -> Box<dyn Fn(&mut Rep3Engine, &[Value]) + Sync> {
    Box::new(move |e, x| drop(e.bilinear(f, &x[0], &x[1], 1.0).unwrap()))
}

fn less() -> Program {
    let mut p = Program::new("less");
    let (x, y) = (p.push(Instr::Input(0)), p.push(Instr::Input(1)));
    let difference = p.push(Instr::Linear(vec![(1, x), (-1, y)], 0.0));
    p.outputs = vec![p.push(Instr::Negative(difference, None))];
    p
}

fn softmax(e: &mut Rep3Engine, x: &[Value]) {
    let mut g = Graph::new();
    let input = g.input(&e.shape(&x[0]));
    let y = g.softmax(input, 1).unwrap();
    g.output(y);
    run(&g, e, x).unwrap();
}

fn gates() -> Vec<Gate> {
    let million = vec![1_000_000];
    let gate = |name, shapes: &[&[usize]], run| Gate {
        name,
        shapes: shapes.iter().map(|s| s.to_vec()).collect(),
        run,
    };
    let conv = Conv::new(&[12, 12], &[5, 5]);
    vec![
        gate(
            "mul",
            &[&million, &million],
            Box::new(|e, x| drop(e.product(Bilinear::Mul, &x[0], &x[1]).unwrap())),
        ),
        gate("mul_trunc", &[&million, &million], bilinear(Bilinear::Mul)),
        gate("less", &[&million, &million], map(less())),
        gate("relu", &[&million], map(program::relu().keep("relu", &[0]))),
        gate("exp", &[&[100_000]], map(program::exp_neg())),
        gate("softmax", &[&[10_000, 10]], Box::new(softmax)),
        gate(
            "matmul",
            &[&[1024, 1024], &[1024, 1024]],
            bilinear(Bilinear::MatMul),
        ),
        gate(
            "conv",
            &[&[128, 20, 12, 12], &[50, 20, 5, 5]],
            bilinear(Bilinear::Conv(conv)),
        ),
    ]
}

fn main() {
    // As the binaries set it (`tacit_party::memory`). SAFETY: sets a number in the allocator.
    unsafe { libmimalloc_sys::mi_option_set_default(15, 10_000) };
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for gate in gates() {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == gate.name) {
            continue;
        }
        println!("{:12} {:.3} CPU s", gate.name, least(&gate));
    }
}

/// Processor seconds of all three parties for the cheapest of several runs of the gate, without its inputs.
fn least(gate: &Gate) -> f64 {
    let turn = std::sync::Barrier::new(4);
    let least = std::sync::Mutex::new(f64::INFINITY);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..RUNS {
                turn.wait();
                let before = seconds();
                turn.wait();
                turn.wait();
                let mut least = least.lock().unwrap();
                *least = least.min(seconds() - before);
                turn.wait();
            }
        });
        simulate_seeded(mem(), 1, |session| {
            let mut e = Rep3Engine::new(session, 18).unwrap();
            let inputs: Vec<Value> = gate
                .shapes
                .iter()
                .map(|shape| {
                    let x = ArrayD::from_elem(IxDyn(shape), -0.75);
                    e.input(0, shape, Some(&x)).unwrap()
                })
                .collect();
            for _ in 0..RUNS {
                e.begin_run().unwrap();
                turn.wait();
                turn.wait();
                (gate.run)(&mut e, &inputs);
                turn.wait();
                turn.wait();
            }
        });
    });
    least.into_inner().unwrap()
}
