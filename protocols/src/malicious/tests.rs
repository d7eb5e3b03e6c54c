//! Every gate against plain integers: results, relations, rounds and bytes.

mod attacks;
mod bound;
pub(super) mod every;
mod functions;
mod gates;
mod spec;
pub(super) mod wire;

use tacit_mpc::simulate::mem;

use super::check::{Outcome, run};
use super::circuit::Circuit;
use super::pair::Words;

/// Thirds of it are multiples of 64, so that no bit is lost to padding.
const N: usize = 3 * 64 * 4;

fn words(seed: u64, n: usize) -> Vec<u64> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    };
    (0..n).map(|_| next()).collect()
}

/// One input, one output.
fn unary(
    x: &[u64],
    seed: u64,
    gate: impl AsyncFn(&Circuit<'_>, &Words) -> tacit_mpc::Result<Words> + Sync,
) -> Outcome {
    let gate = async |c: &Circuit<'_>, x: Vec<Words>| Ok(vec![gate(c, &x[0]).await?]);
    run(mem(), seed, &[x.to_vec()], gate).honest()
}
