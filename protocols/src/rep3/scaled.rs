//! 1/x, 1/√x, √x and ln x over many binades, for x in [2^lo, 2^hi).
//!
//! With j the position of the leading bit of the word x, and β = x/2^(j+1) in [1/2, 1), F(x) is F(β) times a power (or plus
//! a multiple) that depends on j alone (normalisation as in Catrina, Saxena, FC 2010):
//!     1/x = 2^-(j+1)·1/β,   1/√x = 2^-(j+1)/2·1/√β,   √x = 2^(j+1)/2·√β,   ln x = (j+1)·ln 2 + ln β.
//! 1. Bits (`a2b.rs`) of x; a prefix "and" of their complements gives n_i = \[x < 2^i\].
//! 2. V = 2^(top-1-j) and the factor T_j are linear combinations of the n_i (`combine.rs`).
//! 3. b = 7·V·x = 7·2^top·β goes to the table of F (`lookup.rs`) in two-sided form: seven of eight cells are its range, the
//!    eighth is the guard. V, b are needed modulo 2^(top+2) only.
//! 4. The table's result times T_j, or plus it before the table's own truncation.
//!
//! Semi-honest. The functionality is that of `lookup.rs` and of T1: at f = 18 the result is right to a relative 2^-18 and
//! three units of the last place (f = 16: 2^-14.8; ln: two units), and which of the words within that is given depends on the
//! sharing. Outside the range the result is wrong without notice, as in `lookup.rs`. 15 rounds (ln: 12), D's first; 539, 583
//! and 460 bytes for [2^-14, 2^14) at f = 18. The specification (section 5) has 20 binades in 18 and 16 rounds; here prefixes
//! branch three ways, V, the factors and the λ of bits are kept in smaller rings, and ln has one truncation.

use std::num::Wrapping;
use std::sync::Arc;

use tacit_mpc::{R64, Result, Role, Strand};
use tacit_nn::program::{Scaled, Table};
use tacit_nn::{Error, fixed};

use super::a2b;
use super::bits::Plane;
use super::boolean::{all, complement};
use super::combine::{Weights, share_bits};
use super::exchange::swap_words;
use super::held::{Held, Words, mask};
use super::lookup::{Prepared, evaluate};
use super::rounding::Rounding;
use super::scan::levels;

/// Significant bits of the factors that are no powers of two.
const FACTOR_BITS: i32 = 21;
/// Bits by which the table's result is finer than the working precision.
const GUARD: u32 = 2;

/// A function on a range, made ready for one precision.
#[derive(Clone, Debug)]
pub(crate) struct Normalised {
    /// The word x lies in [2^first, 2^top).
    pub(crate) first: u32,
    pub(crate) top: u32,
    pub(crate) table: Arc<Prepared>,
    /// V - 1 by the bits n_(top-1), n_(top-2), … n_(first+1).
    pub(crate) position: Weights,
    /// T_j less `base` by the same bits.
    pub(crate) factor: Weights,
    pub(crate) base: R64,
    /// Bits to round off T_j·F(β); `None` where T_j is added.
    pub(crate) shift: Option<u32>,
}

/// F(t/7): the table's argument is b/2^top in [7/2, 7).
fn reciprocal(t: f64) -> f64 {
    7.0 / t
}

fn inverse_root(t: f64) -> f64 {
    (7.0 / t).sqrt()
}

fn root(t: f64) -> f64 {
    (t / 7.0).sqrt()
}

fn ln(t: f64) -> f64 {
    // As every table, it must be the same on every build.
    Scaled::Ln.of(t / 7.0)
}

impl Normalised {
    /// Prepares F on [2^lo, 2^hi) for f fractional bits.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a range that has no words or whose results do not fit into the ring.
    pub(crate) fn new(
        function: Scaled,
        lo: i32,
        hi: i32,
        f: u32,
    ) -> std::result::Result<Self, Error> {
        let invalid = |why: &str| {
            let name = function.name();
            Error::Invalid(format!(
                "{name} on [2^{lo}, 2^{hi}) at {f} fractional bits: {why}"
            ))
        };
        let (first, top) = (lo + f as i32, hi + f as i32);
        if first < 0 || lo >= hi || top > fixed::WORD_BITS as i32 - 3 {
            return Err(invalid("no such range of words"));
        }
        // A single binade is normalised as the upper one of two, and few bits as four.
        let top = (top as u32).max(4);
        let first = (first as u32).min(top - 2);
        let degree = if f <= 16 { 3 } else { 4 };
        let (name, of, max): (_, fn(f64) -> f64, f64) = match function {
            Scaled::Reciprocal => ("1/x, normalised", reciprocal, 2.0),
            Scaled::InverseRoot => ("1/√x, normalised", inverse_root, 2.0),
            Scaled::Root => ("√x, normalised", root, 1.0),
            // Of the sum with the multiple of ln 2.
            Scaled::Ln => (
                "ln x, normalised",
                ln,
                f64::from(lo.abs().max(hi.abs()) + 1),
            ),
        };
        let table = Table {
            name,
            f: of,
            lo: 3.5,
            hi: 7.0,
            cell: -1,
            log2_cells: 3,
            degree,
            max,
        };
        // n_i has weight (value at position i-1) - (value at position i), from the top down.
        let positions = || (first + 1..top).rev();
        let steps = |value: &dyn Fn(u32) -> R64| -> Vec<R64> {
            positions().map(|i| value(i - 1) - value(i)).collect()
        };
        let position = Weights {
            k: top + 2,
            of: steps(&|j| Wrapping(1u64 << (top - 1 - j))),
        };
        if function == Scaled::Ln {
            let table = Arc::new(Prepared::with_scales(&table, top, f, GUARD)?);
            // ln 2 in units of the table's result, to six bits more than the working precision.
            let coarse = table.unit_bits() - (f + 6);
            let ln2 = Wrapping(LN_2_64 >> (64 - (f + 6))) << coarse as usize;
            let multiple = |j: u32| Wrapping((i64::from(j) + 1 - i64::from(f)) as u64) * ln2;
            let factor = Weights {
                k: table.k,
                of: steps(&multiple),
            };
            let base = multiple(top - 1);
            return Ok(Self {
                first,
                top,
                table,
                position,
                factor,
                base,
                shift: None,
            });
        }
        // Twice the logarithm of T_j, without the factor 2^h that makes T_j an integer.
        let (twice_log, significant): (Box<dyn Fn(u32) -> i32>, i32) = match function {
            Scaled::Reciprocal => (Box::new(|j| 2 * (2 * f as i32 - 1 - j as i32)), 1),
            Scaled::Root => (Box::new(|j| f as i32 + 1 + j as i32), FACTOR_BITS),
            _ => (Box::new(|j| 3 * f as i32 - 1 - j as i32), FACTOR_BITS),
        };
        let ends = [twice_log(first), twice_log(top - 1)];
        let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let h = (significant - 1 - least.div_euclid(2)).max(0);
        let value = |j: u32| {
            let log = twice_log(j) + 2 * h;
            let (whole, half) = (log.div_euclid(2), log.rem_euclid(2) == 1);
            let mantissa = if half {
                SQRT_2_62 >> (62 - (significant - 1))
            } else {
                1 << (significant - 1)
            };
            Wrapping(mantissa) << (whole - (significant - 1)) as usize
        };
        let fine = f + GUARD;
        // T_j·F(β) < 2^(log T + 1), and T1 wants two bits more; one for the roundings.
        let shift = h + fine as i32;
        let k = shift + 4 + (most + 1).div_euclid(2).max(-1);
        if !(0..=64).contains(&k) {
            return Err(invalid(
                "its results do not fit into 64 bits: choose a narrower range",
            ));
        }
        let factor = Weights {
            k: k as u32,
            of: steps(&value),
        };
        let base = value(top - 1);
        let table = Arc::new(Prepared::with_scales(&table, top, fine, GUARD)?);
        let shift = Some(shift as u32);
        Ok(Self {
            first,
            top,
            table,
            position,
            factor,
            base,
            shift,
        })
    }

    /// The bits of x that are looked at.
    pub(super) fn wanted(&self) -> std::ops::Range<u32> {
        self.first + 1..self.top
    }
}

/// ln 2 and √2 as words.
const LN_2_64: u64 = 0xB172_17F7_D1CF_79AB;
const SQRT_2_62: u64 = 0x5A82_7999_FCEF_3242;

/// F(x), for x in the range.
pub(super) async fn scaled(
    strand: &Strand<'_>,
    t: &Normalised,
    x: &Held<Words>,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let n = strand.chunk().len();
    let below = below(strand, &x.side(), t).await?;
    let shares = share_bits(strand, &below, &[&t.position, &t.factor]).await?;
    let position = swap_words(strand, n, t.position.k, shares.sum(&t.position, n)).await?;
    let mut position = position;
    position.add_public(Wrapping(1));
    let seven = position.each(|v| v.iter().map(|&w| w * Wrapping(7)).collect());
    let b = two_sided(strand, summands(strand, &seven, x), t.position.k).await?;
    let factor = shares.sum(&t.factor, n);
    let Some(shift) = t.shift else {
        // A adds the constant.
        let base = if super::held::is_a(strand) {
            t.base
        } else {
            Wrapping(0)
        };
        let plus = factor.map(|w| w.iter().map(|&w| w + base).collect());
        return evaluate(strand, &t.table, &b, plus, rounding).await;
    };
    let y = evaluate(strand, &t.table, &b, None, rounding).await?;
    let mut factor = swap_words(strand, n, t.factor.k, factor).await?;
    factor.add_public(t.base);
    let product = two_sided(strand, summands(strand, &factor, &y), t.factor.k).await?;
    rounding.apply(strand, &product, t.factor.k, shift).await
}

/// n_i = \[x < 2^i\] for i = top - 1 down to first + 1.
async fn below(strand: &Strand<'_>, side: &[R64], t: &Normalised) -> Result<Vec<Held<Plane>>> {
    let bits = a2b::bits(strand, side, t.wanted()).await?;
    let mut below: Vec<Held<Plane>> = bits.into_iter().rev().map(complement).collect();
    for level in levels(below.len()) {
        let groups = level
            .iter()
            .map(|(i, lows)| lows.iter().chain([i]).map(|&k| below[k].clone()).collect())
            .collect();
        let merged = all(strand, groups).await?;
        for ((i, _), bit) in level.iter().zip(merged) {
            below[*i] = bit;
        }
    }
    Ok(below)
}

/// This party's summand of x·y.
fn summands(strand: &Strand<'_>, x: &Held<Words>, y: &Held<Words>) -> Words {
    let role = strand.role();
    let (x0, x1) = x.clone().into_party_order(role);
    let (y0, y1) = y.clone().into_party_order(role);
    x0.iter()
        .zip(&x1)
        .zip(y0.iter().zip(&y1))
        .map(|((&x0, &x1), (&y0, &y1))| x0 * (y0 + y1) + x1 * y0)
        .collect()
}

/// This party's side of c + s = Σ p_i mod 2^k: A and B swap their summands. 2k bits, 1 round.
async fn two_sided(strand: &Strand<'_>, p: Words, k: u32) -> Result<Words> {
    let n = p.len();
    let (ours, swapped) = if strand.role() == Role::Dealer {
        (p, None)
    } else {
        (Vec::new(), Some(p))
    };
    Ok(match swap_words(strand, n, k, swapped).await? {
        Held::Dealer { a, b } => ours
            .iter()
            .zip(a.iter().zip(b))
            .map(|(&p, (&a, b))| (p + a + b) & mask(k))
            .collect(),
        Held::Pair { common, .. } => common,
    })
}

#[cfg(test)]
mod tests {
    use super::super::convert::to_arithmetic;
    use super::super::uniform::opened;
    use super::*;

    /// Golden words: the coefficients and factors that all parties must have alike, folded by FNV-1a.
    #[test]
    fn r7_coefficients_and_factors_are_these_words_on_every_build() {
        use super::super::lookup::tests::fnv;
        let functions = [
            Scaled::Reciprocal,
            Scaled::InverseRoot,
            Scaled::Root,
            Scaled::Ln,
        ];
        let got = functions.map(|of| {
            let t = Normalised::new(of, -14, 14, 18).unwrap();
            let factors = t.position.of.iter().chain(&t.factor.of).chain([&t.base]);
            fnv(t.table.coefficient_bits().chain(factors.map(|w| w.0)))
        });
        assert_eq!(got, NORMALISED, "{got:#x?}");
    }

    const NORMALISED: [u64; 4] = [
        0x5CD8_E56C_92A8_23A6,
        0xF4DF_0310_907C_A7D2,
        0xC2F4_AFE6_934D_8469,
        0xC4AD_021B_0CA0_E3E0,
    ];

    /// How many of the n_i are set, opened, tells the place of the leading bit: against the executable specification.
    #[test]
    fn leading_bits_are_those_of_the_executable_specification() {
        let lines = include_str!("../../tests/spec/vectors.txt").lines();
        let rows: Vec<Vec<i64>> = lines
            .filter_map(|line| line.strip_prefix("leading "))
            .map(|line| line.split(' ').map(|w| w.parse().unwrap()).collect())
            .collect();
        for f in [16, 18, 20] {
            let rows: Vec<_> = rows.iter().filter(|r| r[0] == i64::from(f)).collect();
            let x: Vec<u64> = rows.iter().map(|r| r[1] as u64).collect();
            let t = Normalised::new(Scaled::Ln, -8, 12, f).unwrap();
            let sums = opened(&x, 9, async |strand, held| {
                let mut sum: Option<Held<Words>> = None;
                for bit in below(strand, &held.side(), &t).await? {
                    let bit = to_arithmetic(strand, &bit).await?;
                    sum = Some(match sum {
                        None => bit,
                        Some(sum) => sum.zip(&bit, |a, b| super::super::held::add(a, b)),
                    });
                }
                Ok(sum.unwrap())
            });
            for (row, below) in rows.iter().zip(&sums) {
                assert_eq!(i64::from(t.top) - 1 - *below as i64, row[2], "{row:?}");
            }
        }
    }
}
