//! Gates of rep3 with all three parties in one process, in memory: local computation without sockets or TLS.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros, and a benchmark that fails by panicking"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::{Engine, program};
use tacit_protocols::rep3::{Rep3Engine, Value};

const N: usize = 1 << 18;

fn gates(c: &mut Criterion) {
    let mut group = c.benchmark_group("rep3, 2^18 values");
    group.throughput(Throughput::Elements(N as u64));
    group.sample_size(10);
    let mut bench = |name: &str, gate: &(dyn Fn(&mut Rep3Engine, &Value) + Sync)| {
        group.bench_function(name, |b| {
            b.iter(|| {
                simulate_seeded(mem(), 1, |session| {
                    let mut e = Rep3Engine::new(session, 18).unwrap();
                    let x = e.trivial(&ArrayD::from_elem(IxDyn(&[N]), -0.75)).unwrap();
                    gate(&mut e, &x);
                })
            });
        });
    };
    bench("mul", &|e, x| drop(e.product(Bilinear::Mul, x, x).unwrap()));
    bench("mul_trunc", &|e, x| {
        drop(e.bilinear(Bilinear::Mul, x, x, 1.0).unwrap())
    });
    bench("relu", &|e, x| drop(e.map(&program::relu(), &[x]).unwrap()));
    bench("exp", &|e, x| {
        drop(e.map(&program::exp_neg(), &[x]).unwrap())
    });
    bench("logistic", &|e, x| {
        drop(e.map(&program::logistic(18), &[x]).unwrap())
    });
}

criterion_group!(benches, gates);
criterion_main!(benches);
