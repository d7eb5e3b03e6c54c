//! Masks for tables: a random word s whose middle bits are known as a unit vector, and whose low ones as factors.
//!
//! As in [`crate::rep3`]'s tables, x = c + s, c - lo = 2^d·v + L_c, s = 2^d·w + L_s: here c is opened and s is the mask, so that
//! what depends on c is local and what depends on s is drawn before.

use std::num::Wrapping;
use std::sync::Arc;

use tacit_mpc::{R64, Result};

use super::circuit::{Circuit, power};
use super::correlation::{Correlated, Correlation, Dealt, draw};
use super::primitives::Primitives;
use super::share::Words;
use super::truncate::Rounding;
use crate::rep3::exp::ExpTables;
use crate::rep3::lookup::Prepared;

/// A kind of mask for a table: s, uniform over Z_2^64; the unit vector of w, 2^κ words; and what its factors are.
#[derive(Clone, Debug)]
pub struct Cells {
    /// Bits of L_s.
    d: u32,
    /// κ.
    log2_cells: u32,
    factors: Factors,
}

#[derive(Clone, Debug)]
enum Factors {
    /// b, b², …, for b = L_s/2^d - 1/2 at a scale.
    Powers(Arc<Prepared>),
    /// e^(L_s).
    Exponential(Arc<ExpTables>),
}

impl Cells {
    /// Those of a table.
    pub(super) fn table(t: &Arc<Prepared>) -> Self {
        Self {
            d: t.d,
            log2_cells: t.log2_cells,
            factors: Factors::Powers(Arc::clone(t)),
        }
    }

    /// Those of an exponential.
    pub(super) fn exponential(t: &Arc<ExpTables>) -> Self {
        Self {
            d: t.f + t.range.log2_width,
            log2_cells: t.range.log2_cells,
            factors: Factors::Exponential(Arc::clone(t)),
        }
    }

    /// Entries of the unit vector: 2^κ.
    #[must_use]
    pub fn cells(&self) -> usize {
        1 << self.log2_cells
    }

    /// The entry that is 1 for a mask s: w.
    #[must_use]
    pub fn cell(&self, s: u64) -> u64 {
        s >> self.d & (self.cells() as u64 - 1)
    }

    /// Words for each element.
    pub(super) fn words(&self) -> usize {
        1 + self.cells()
            + match &self.factors {
                Factors::Powers(t) => t.degree,
                Factors::Exponential(_) => 1,
            }
    }

    /// [`Correlation::deal`].
    pub(super) fn deal(
        &self,
        n: usize,
        mut random: impl FnMut(&mut [u64]) -> Result<()>,
    ) -> Result<Dealt> {
        let mut s = vec![0; n];
        random(&mut s)?;
        let (w, low): (Vec<u64>, Vec<u64>) = s
            .iter()
            .map(|&s| (self.cell(s), s & ((1 << self.d) - 1)))
            .unzip();
        let mut words: Vec<R64> = s.into_iter().map(Wrapping).collect();
        for cell in 0..self.cells() as u64 {
            words.extend(w.iter().map(|&w| Wrapping(u64::from(w == cell))));
        }
        match &self.factors {
            Factors::Powers(t) => {
                let powers = t.powers(&low).into_iter().skip(1);
                words.extend(powers.flatten().map(|b| Wrapping(b as u64)));
            }
            Factors::Exponential(t) => words.extend(low.iter().map(|&l| t.pair_factor(l))),
        }
        let bits = Vec::new();
        Ok(Dealt { words, bits })
    }

    /// The same by all parties, from d + κ random bits as words: the unit vector and the powers are products.
    pub(super) async fn generate<P: Primitives>(&self, c: &Circuit<'_, P>) -> Result<Correlated> {
        let k = self.d + self.log2_cells;
        let what = Correlation::Bits { count: k as usize };
        let (bits, _) = draw(c, &what).await?;
        let what = Correlation::Mask {
            planes: 0,
            shift: None,
        };
        let (above, none) = draw(c, &what).await?;
        let (low_bits, high_bits) = bits.split_at(self.d as usize);
        let unit = unit_vector(c, high_bits).await?;
        let low = number(low_bits);
        let w = number(high_bits);
        let s = low
            .plus(&w.times(power(self.d)))
            .plus(&above[0].times(power(k)));
        let factors = match &self.factors {
            Factors::Powers(t) => powers(c, t, &low).await?,
            Factors::Exponential(t) => vec![exponential(c, t, low_bits).await?],
        };
        let all: Vec<&Words> = [&s].into_iter().chain(&unit).chain(&factors).collect();
        Ok(Correlated {
            words: Words::concat(&all),
            bits: none,
        })
    }
}

/// Σ 2^j·b_j.
fn number(bits: &[Words]) -> Words {
    let bits = bits.iter().enumerate();
    let terms = bits.map(|(j, bit)| bit.times(power(j as u32)));
    terms
        .reduce(|x, y| x.plus(&y))
        .unwrap_or_else(|| Words::new(Vec::new()))
}

/// The unit vector of the number that these bits are, lowest first, at least one: from that of the lower bits, u_v·b for every
/// v > 0, u_0·b = b - Σ u_v·b since all u add up to 1, and u_v less these. 2^κ - κ - 1 products, κ - 1 rounds.
async fn unit_vector<P: Primitives>(c: &Circuit<'_, P>, bits: &[Words]) -> Result<Vec<Words>> {
    let n = c.len();
    let minus_one = -power(0);
    let mut unit = vec![
        c.offset(&bits[0].times(minus_one), Wrapping(1)),
        bits[0].clone(),
    ];
    for bit in &bits[1..] {
        let above = Words::concat(&unit[1..].iter().collect::<Vec<_>>());
        let bits = Words::concat(&vec![bit; unit.len() - 1]);
        let set = c.multiply(&above, &bits).await?.separate(n);
        let first = set.iter().fold(bit.clone(), |rest, u| rest.minus(u));
        let set: Vec<Words> = std::iter::once(first).chain(set).collect();
        unit = unit.iter().zip(&set).map(|(u, set)| u.minus(set)).collect();
        unit.extend(set);
    }
    Ok(unit)
}

/// b, b², …, at the table's scale, for b = L_s/2^d - 1/2.
async fn powers<P: Primitives>(
    c: &Circuit<'_, P>,
    t: &Prepared,
    low: &Words,
) -> Result<Vec<Words>> {
    let centred = c.offset(low, -power(t.d - 1));
    let b = if t.scale >= t.d {
        centred.times(power(t.scale - t.d))
    } else {
        Rounding::Masked.apply(c, &centred, t.d - t.scale).await?
    };
    let mut powers = vec![b.clone()];
    for _ in 1..t.degree {
        let next = c.multiply(&powers[powers.len() - 1], &b).await?;
        powers.push(Rounding::Masked.apply(c, &next, t.scale).await?);
    }
    Ok(powers)
}

/// Scale of the constants of [`ExpTables::exp_lows`].
const UNIT: u32 = 40;
/// Scale of the factors close to one, and of their product.
const FINE: u32 = 30;
const NEAR: u32 = 20;

/// Bits (first, count) of the tables for d low bits, highest first, and how many bits are left below them: few enough that
/// e^δ is 1 + δ to 2^-20.
fn groups(d: u32, f: u32) -> (Vec<(u32, u32)>, u32) {
    let (mut groups, mut rest) = (Vec::new(), d);
    while rest > f.saturating_sub(10) {
        let count = 4.min(rest - f.saturating_sub(10));
        rest -= count;
        groups.push((rest, count));
    }
    (groups, rest)
}

/// e^(L_s) at the scale of the pair's factor: a product of constants, one for each group of bits, and of 1 + δ.
async fn exponential<P: Primitives>(
    c: &Circuit<'_, P>,
    t: &ExpTables,
    bits: &[Words],
) -> Result<Words> {
    let (groups, rest) = groups(t.f + t.range.log2_width, t.f);
    let constants = |(first, count): (u32, u32), scale: u32| -> Vec<R64> {
        let low: Vec<u64> = (0..1 << count).map(|k| k << first).collect();
        let entries = t.exp_lows(&low).into_iter();
        let rounded = |e: u64| Wrapping((e + (1 << (UNIT - scale - 1))) >> (UNIT - scale));
        entries.map(rounded).collect()
    };
    let factor = async |group: (u32, u32), scale: u32| -> Result<Words> {
        let unit = unit_vector(c, &bits[group.0 as usize..][..group.1 as usize]).await?;
        let weighed = unit.iter().zip(constants(group, scale));
        let sum = weighed.map(|(u, e)| u.times(e)).reduce(|x, y| x.plus(&y));
        Ok(sum.unwrap_or_else(|| unit[0].clone()))
    };
    let delta = number(&bits[..rest as usize]).times(power(FINE - t.f));
    let mut near = c.offset(&delta, power(FINE));
    for &group in groups[1..].iter().rev() {
        let factor = factor(group, FINE).await?;
        let product = c.multiply(&near, &factor).await?;
        near = Rounding::Masked.apply(c, &product, FINE).await?;
    }
    let half = power(FINE - NEAR - 1);
    near = Rounding::Masked
        .apply(c, &c.offset(&near, half), FINE - NEAR)
        .await?;
    // e^width·2^NEAR times a scale stays below 2^62.
    let bits = ((1u32 << t.range.log2_width) * 3).div_ceil(2);
    let scale = (61 - NEAR - bits).min(FINE);
    let far = factor(groups[0], scale).await?;
    let product = c.multiply(&far, &near).await?;
    let out = scale + NEAR - t.range.pair_scale;
    Rounding::Masked.apply(c, &product, out).await
}
