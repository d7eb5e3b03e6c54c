//! Local products on every instruction set of this processor, and the pseudo-random stream.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros, and a benchmark that fails by panicking"
)]

use std::num::Wrapping;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::kernels::{Cpu, Kernels};
use tacit_mpc::prss::expand_seed;
use tacit_mpc::{Bilinear, Tensor};

fn words(shape: &[usize]) -> Tensor {
    let mut x = 1u64;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Wrapping(x)
    })
}

fn products(c: &mut Criterion) {
    for (m, k, n) in [
        (256, 256, 256),
        (1024, 1024, 1024),
        (128, 784, 128),
        (32, 30, 1),
    ] {
        let (x, y) = (words(&[m, k]), words(&[k, n]));
        let mut group = c.benchmark_group(format!("matmul {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        group.sample_size(10);
        for kernels in Cpu::all() {
            group.bench_function(BenchmarkId::from_parameter(kernels.name()), |b| {
                b.iter(|| kernels.bilinear(Bilinear::MatMul, &[(&x, &y)]).unwrap());
            });
        }
    }
    let (x, y) = (words(&[1 << 20]), words(&[1 << 20]));
    let mut group = c.benchmark_group("mul 2^20, two terms");
    group.throughput(Throughput::Elements(1 << 20));
    for kernels in Cpu::all() {
        group.bench_function(BenchmarkId::from_parameter(kernels.name()), |b| {
            b.iter(|| {
                kernels
                    .bilinear(Bilinear::Mul, &[(&x, &y), (&y, &x)])
                    .unwrap()
            });
        });
    }
}

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("pseudo-random stream");
    group.throughput(Throughput::Bytes(8 << 20));
    group.bench_function("2^20 words", |b| b.iter(|| expand_seed(&[7; 16], 1 << 20)));
}

criterion_group!(benches, products, stream);
criterion_main!(benches);
