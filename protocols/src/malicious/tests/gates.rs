//! Gates on uniform sharings, up to the stated bounds.

use std::num::Wrapping;

use proptest::prelude::*;
use tacit_mpc::simulate::mem;

use super::super::check::run;
use super::super::circuit::Circuit;
use super::super::compare::{bits, negative, zero};
use super::super::convert::{select, to_arithmetic};
use super::super::exact::{floor, truncate_exact};
use super::super::pair::Words;
use super::super::product::{Support, product};
use super::super::truncate::{truncate, truncate_known};
use super::{N, unary, words};

#[test]
fn products_cost_24_bytes_and_one_round() {
    let (x, y) = (words(1, N), words(2, N));
    let inputs = [x.clone(), y.clone()];
    let twice = async |c: &Circuit<'_>, v: Vec<Words>| {
        let terms = [(v[0].clone(), v[1].clone()), (v[1].clone(), v[1].clone())];
        Ok(vec![product(c, &terms, Support::Full).await?])
    };
    let r = run(mem(), 3, &inputs, twice).honest();
    r.costs(1, 24.0);
    for ((x, y), z) in x.iter().zip(&y).zip(&r.outputs[0]) {
        assert_eq!(*z, x.wrapping_mul(*y).wrapping_add(y.wrapping_mul(*y)));
    }
}

#[test]
fn truncation_costs_22_bytes_and_two_rounds() {
    let x: Vec<u64> = words(4, N)
        .iter()
        .map(|x| (*x as i64 >> 1) as u64)
        .collect();
    let r = unary(&x, 5, async |c, x| truncate(c, x, 16).await);
    r.costs(2, 22.0);
    let r = unary(&x, 5, async |c, x| {
        let square = product(c, &[(x.clone(), x.clone())], Support::Full).await?;
        truncate(c, &square, 16).await
    });
    r.costs(3, 46.0);
}

/// Each of the coins of truncation appears, and none is favoured.
#[test]
fn truncation_is_unbiased() {
    let (p, n) = (16, 60_000);
    let x: Vec<u64> = words(6, n)
        .iter()
        .map(|x| (*x as i64 >> 1) as u64)
        .collect();
    let y = unary(&x, 7, async |c, x| truncate(c, x, p).await)
        .outputs
        .remove(0);
    let (mut excess, mut variance) = (0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        let fraction = (x & ((1 << p) - 1)) as f64 / f64::from(1 << p);
        let error = y.wrapping_sub((*x as i64 >> p) as u64);
        excess += error as f64 - fraction;
        variance += fraction * (1.0 - fraction);
    }
    assert!((excess / f64::sqrt(variance)).abs() < 5.0, "{excess}");
}

#[test]
fn signs_zeros_and_selections_cost_what_they_say() {
    let mut x = words(8, N);
    x[..4].copy_from_slice(&[0, u64::MAX, 1 << 63, (1 << 63) - 1]);
    let sign = async |c: &Circuit<'_>, x: &Words| {
        let bit = negative(c, x, 63).await?;
        to_arithmetic(c, &bit, 64).await
    };
    let r = unary(&x, 9, sign);
    // The conversion takes 24 bytes and 2 rounds, of which the dealer's overlaps with the last conjunction.
    r.costs(8 + 1, 8.0 + (63.0 * 2.0 + 118.0 * 3.0) / 8.0 + 24.0);
    let want: Vec<u64> = x.iter().map(|x| x >> 63).collect();
    assert_eq!(r.outputs[0], want);
    let r = unary(&x, 10, async |c, x| {
        let bit = zero(c, x).await?;
        to_arithmetic(c, &bit, 64).await
    });
    r.costs(7 + 1, 8.0 + 63.0 * 3.0 / 8.0 + 24.0);
    let want: Vec<u64> = x.iter().map(|&x| u64::from(x == 0)).collect();
    assert_eq!(r.outputs[0], want);
    let relu = unary(&x, 11, async |c, x| {
        let bit = negative(c, x, 63).await?;
        Ok(x.minus(&select(c, &bit, x).await?))
    });
    relu.costs(10, 8.0 + (63.0 * 2.0 + 118.0 * 3.0) / 8.0 + 48.0);
    let want: Vec<u64> = x.iter().map(|&x| (x as i64).max(0) as u64).collect();
    assert_eq!(relu.outputs[0], want);
}

#[test]
fn exact_roundings_cost_what_they_say() {
    let x: Vec<u64> = words(12, N)
        .iter()
        .map(|x| (*x as i64 >> 1) as u64)
        .collect();
    let comparison = (18.0 * 2.0 + (2.0 * 17.0 - 5.0) * 3.0) / 8.0;
    let r = unary(&x, 13, async |c, x| truncate_exact(c, x, 18).await);
    r.costs(1 + 1 + 1 + 5 + 1, 16.0 + 54.0 / 8.0 + comparison + 24.0);
    let r = unary(&x, 13, async |c, x| floor(c, x, 18).await);
    r.costs(1 + 1 + 5 + 1, 8.0 + 4.0 * 46.0 / 8.0 + comparison);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn truncations_are_off_by_at_most_one_unit_up_to_the_bound(p in 1u32..=62, seed: u64, n in 6usize..400) {
        let mut x: Vec<i64> = words(seed, n).iter().map(|x| *x as i64 >> 1).collect(); // [-2^62, 2^62)
        x[..6].copy_from_slice(&[0, -1, 1, (1 << 62) - 1, -(1 << 62), 1 << (p - 1)]);
        let raw: Vec<u64> = x.iter().map(|&x| x as u64).collect();
        let y = unary(&raw, seed, async |c, x| truncate(c, x, p).await).outputs.remove(0);
        let exact = unary(&raw, seed, async |c, x| truncate_exact(c, x, p).await).outputs.remove(0);
        for ((x, y), exact) in x.iter().zip(y).zip(exact) {
            let error = (y as i64).wrapping_sub(x >> p);
            prop_assert!((0..=1).contains(&error), "{x} by {p}: {error} units above");
            prop_assert!(error == 0 || x & ((1 << p) - 1) != 0, "multiples of 2^p are exact");
            prop_assert_eq!(exact as i64, x >> p);
        }
    }

    #[test]
    fn floors_bits_and_bounded_signs_are_exact(p in 1u32..=62, seed: u64, n in 6usize..400) {
        let mut x = words(seed, n);
        x[..6].copy_from_slice(&[0, u64::MAX, 1, 1 << 63, (1 << 63) - 1, 1 << p]);
        let y = unary(&x, seed, async |c, x| floor(c, x, p).await).outputs.remove(0);
        for (x, y) in x.iter().zip(y) {
            prop_assert_eq!(y, x >> p << p);
        }
        let sum = unary(&x, seed, async |c, x| {
            let mut sum: Option<Words> = None;
            for (k, bit) in bits(c, x, p).await?.iter().enumerate() {
                let bit = to_arithmetic(c, bit, 64).await?.times(Wrapping(1 << k));
                sum = Some(sum.map_or_else(|| bit.clone(), |s| s.plus(&bit)));
            }
            Ok(sum.unwrap())
        });
        for (x, y) in x.iter().zip(&sum.outputs[0]) {
            prop_assert_eq!(*y, x & ((1 << p) - 1));
        }
        let small: Vec<u64> = x.iter().map(|x| (*x as i64 >> (63 - p)) as u64).collect(); // [-2^p, 2^p)
        let y = unary(&small, seed, async |c, x| {
            let bit = negative(c, x, p).await?;
            to_arithmetic(c, &bit, 64).await
        });
        for (x, y) in small.iter().zip(&y.outputs[0]) {
            prop_assert_eq!(*y, x >> 63);
        }
    }

    /// A word that the dealer knows loses its low bits exactly.
    #[test]
    fn known_words_are_truncated_exactly(p in 1u32..=62, seed: u64, n in 3usize..200) {
        let x: Vec<u64> = words(seed, n).iter().map(|x| (*x as i64 >> 1) as u64).collect();
        let y = unary(&x, seed, async |c, x| {
            // What the dealer knows: its two shares, and nothing at the third index; halved twice to fit.
            let zero = vec![Wrapping(0); x.own.len()];
            let cut = |j: usize| match x.at(c.me(), j) {
                Some(v) => v.iter().map(|v| Wrapping(v.0 >> 3)).collect(),
                None => zero.clone(),
            };
            let d = c.dealer();
            let own = if c.me() == (d + 2) % 3 { zero.clone() } else { cut(c.me()) };
            let next = if c.me() == (d + 1) % 3 { zero.clone() } else { cut(c.me() + 1) };
            let known = super::super::pair::Pair::new(own, next);
            let y = truncate_known(c, &known, p).await?;
            // What must be left is the low part.
            Ok(known.minus(&y.times(Wrapping(1 << p))))
        });
        for y in &y.outputs[0] {
            prop_assert!(*y < 1 << p, "{y} left of {p} bits");
        }
    }
}
