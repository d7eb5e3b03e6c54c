//! How fast this machine is at each kind of work, measured on the spot with the loops that the gates run.

use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::prss::expand_seed;
use tacit_mpc::wire::{pack, packed_len, unpack};
use tacit_mpc::{Bilinear, Kernels, R64};
use tacit_nn::program::{Instr, sigmoid};
use tacit_nn::{Error, Result};

use super::bits::{fold_rows, to_bits, to_words, words_of};
use super::dcf;
use super::exp::{self, ExpTables};
use super::held::Words;
use super::lookup::Prepared;
use super::select_row::rotate;
use super::work::Rates;

/// Elements of the vectors: those of a chunk.
const N: usize = 1 << 12;
/// And those of whole tensors.
const LARGE: usize = 1 << 19;
/// Side of the matrices.
const SIDE: usize = 384;
/// A measurement goes on for so many seconds of the clock.
const SPAN: f64 = 0.004;
/// Bits of packed words: as many as the tables of a sigmoid have.
const BITS: u32 = 51;

/// The rates of local work at f fractional bits, by `clock`, which gives this thread's processor seconds; those of messages
/// are left at 0, since only a connection knows them.
///
/// # Errors
/// None that a build which passes its tests could have.
pub fn calibrate(kernels: &dyn Kernels, f: u32, clock: &dyn Fn() -> f64) -> Result<Rates> {
    let x: Words = expand_seed(&[7; 16], N);
    let y: Words = expand_seed(&[9; 16], N);
    let matrix = ArrayD::from_shape_vec(IxDyn(&[SIDE, SIDE]), expand_seed(&[8; 16], SIDE * SIDE))
        .unwrap_or_default();
    let per = |units: usize, work: &mut dyn FnMut() -> R64| seconds(clock, work) / units as f64;
    let mut rates = Rates {
        drawn: per(N, &mut || expand_seed(&[3; 16], N)[0]),
        passed: per(N, &mut || {
            let sum: Words = x
                .iter()
                .zip(&y)
                .map(|(&x, &y)| x * Wrapping(3) + y)
                .collect();
            sum[N / 2]
        }),
        ..Rates::default()
    };
    let (left, right) = (x.repeat(LARGE / N), y.repeat(LARGE / N));
    rates.moved = per(LARGE, &mut || {
        let sum: Words = left.iter().zip(&right).map(|(&x, &y)| x + y).collect();
        sum[N / 2]
    });
    drop((left, right));
    let mut product = Ok(());
    rates.multiplication = per(SIDE * SIDE * SIDE, &mut || match kernels
        .bilinear(Bilinear::MatMul, &[(&matrix, &matrix)])
    {
        Ok(z) => z.first().copied().unwrap_or_default(),
        Err(e) => {
            product = Err(e);
            R64::default()
        }
    });
    product.map_err(|e| Error::Protocol(Box::new(e)))?;
    let (mut bytes, mut words) = (vec![0; packed_len(N, BITS as usize)], x.clone());
    rates.packed = per(2 * N, &mut || {
        pack(&x, BITS, &mut bytes);
        unpack(&bytes, BITS, &mut words);
        words[N / 2]
    });
    rates.transposed = per(2 * N, &mut || {
        let planes = to_bits(&x, 64);
        to_words(&planes[..words_of(N)], N)[1]
    });
    let planes = to_bits(&x, 64);
    let mut rows = planes[..32 * words_of(N)].to_vec();
    rates.combined = per(31 * words_of(N), &mut || {
        fold_rows(&mut rows, planes.chunks_exact(words_of(N)).take(5));
        Wrapping(rows[0])
    });
    let table = sigmoid(f).code.into_iter().find_map(|i| match i {
        Instr::Table(_, t) => Some(t),
        _ => None,
    });
    if let Some(table) = table {
        let t = Prepared::new(&table, f)?;
        let low: Vec<u64> = x.iter().map(|w| w.0 >> 47).collect();
        let powers = t.degree + 1;
        let terms = t.cells() * powers * (powers + 1) / 2 * N;
        rates.term = per(terms, &mut || t.rows(&low)[0][0][1]);
    }
    let mut rows: Words = (0..8).flat_map(|_| x.iter().copied()).collect();
    rates.chosen = per(3 * 8 * N, &mut || {
        rotate(&mut rows, &y);
        rows[N + 1]
    });
    let e = ExpTables::new(exp::RELATIVE, f);
    let low: Vec<u64> = x.iter().map(|w| w.0 >> 44).collect();
    rates.factor = per(exp::RELATIVE.low_bits(f) as usize * N, &mut || {
        Wrapping(e.exp_lows(&low)[N / 2])
    });
    rates.hashed = per(dcf::blocks_hashed(BITS) * N, &mut || {
        dcf::hash_like_a_dealer(&x, BITS)
    });
    Ok(rates)
}

/// Seconds that one run of `work` takes: the middle one of three measurements.
fn seconds(clock: &dyn Fn() -> f64, work: &mut dyn FnMut() -> R64) -> f64 {
    std::hint::black_box(work());
    let mut found = [0.0; 3];
    for seconds in &mut found {
        let (start, mut runs) = (clock(), 0u32);
        let spent = loop {
            std::hint::black_box(work());
            runs += 1;
            let spent = clock() - start;
            // A clock that stands still must not stop us.
            if spent >= SPAN || runs == 1 << 16 {
                break spent;
            }
        };
        *seconds = spent / f64::from(runs);
    }
    found.sort_by(f64::total_cmp);
    found[1]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// With a clock that ticks when it is looked at: every rate of local work is measured, for a unit.
    #[test]
    fn every_kind_of_local_work_is_measured() {
        let time = Cell::new(0.0);
        let clock = || {
            time.set(time.get() + 0.001);
            time.get()
        };
        let rates = calibrate(&*tacit_mpc::kernels::cpu(), 18, &clock).unwrap();
        let local = [
            rates.drawn,
            rates.multiplication,
            rates.passed,
            rates.moved,
            rates.packed,
            rates.transposed,
            rates.combined,
            rates.term,
            rates.chosen,
            rates.factor,
            rates.hashed,
        ];
        // A run takes one look at the clock, so that a rate is what the units of a run make of it.
        for (rate, units) in local.into_iter().zip([
            N,
            SIDE * SIDE * SIDE,
            N,
            LARGE,
            2 * N,
            2 * N,
            31 * words_of(N),
            4 * 36 * N,
            24 * N,
            20 * N,
            (4 * (51 - 7) + 2) * N,
        ]) {
            assert!(
                (rate * units as f64 / 0.001 - 1.0).abs() < 1e-6,
                "{rates:?}"
            );
        }
        assert_eq!((rates.byte, rates.message, rates.round), (0.0, 0.0, 0.0));
    }
}
