//! Correlated values from the primitives themselves: each party contributes random values of its own, both as words and as
//! bits, and their sum or exclusive or is uniform as long as one of them is. Semi-honest: a party that contributed different
//! values as words and as bits would be believed.

use std::num::Wrapping;

use tacit_mpc::{R64, Result};

use super::circuit::{Circuit, power};
use super::convert::to_words;
use super::correlation::{Correlated, Correlation, plane_words};
use super::primitives::Primitives;
use super::share::{Bits, Words};
use super::sum::{Sum, sum};
use crate::rep3::bits::to_bits;

/// Makes correlated values of a kind for a chunk, by all parties.
///
/// # Errors
/// No randomness, or a link or peer failed.
pub async fn generate<P: Primitives>(c: &Circuit<'_, P>, what: &Correlation) -> Result<Correlated> {
    match what {
        Correlation::Bits { count } => random_bits(c, *count).await,
        Correlation::Mask { planes, shift } => mask(c, *planes, *shift).await,
        Correlation::Cells(cells) => cells.generate(c).await,
    }
}

/// Random bits as words and as bits. P_i contributes b_i both ways; b = ⊕ b_i is local on the bits, and on the words
/// x ⊕ y = x + y - 2xy along a tree (Rotaru, Wood, INDOCRYPT 2019, without its checks). n - 1 products a bit,
/// 2 + ⌈log2 n⌉ rounds.
async fn random_bits<P: Primitives>(c: &Circuit<'_, P>, count: usize) -> Result<Correlated> {
    let (n, parties) = (c.len(), c.parties());
    let mine = c.private().words(count * c.plane())?;
    let words = plane_words(&mine, n);
    let (strand, protocol) = (c.strand(), c.protocol);
    let bits = protocol.input_bits(strand, &parties, count, Some(&mine));
    let bits = bits.await?;
    let words = protocol.input_words(strand, &parties, count * n, Some(&words));
    Ok(Correlated {
        words: parity(c, words.await?).await?,
        bits: exclusive_or(&bits),
    })
}

/// Of bits as words, whether an odd number is set.
async fn parity<P: Primitives>(c: &Circuit<'_, P>, mut bits: Vec<Words>) -> Result<Words> {
    let n = bits.first().map_or(0, Words::len);
    while bits.len() > 1 {
        let odd = (bits.len() % 2 == 1).then(|| bits.pop()).flatten();
        let side = |k: usize| {
            let side: Vec<&Words> = bits.iter().skip(k).step_by(2).collect();
            Words::concat(&side)
        };
        let (x, y) = (side(0), side(1));
        let both = c.multiply(&x, &y).await?;
        bits = x.plus(&y).minus(&both.times(Wrapping(2))).separate(n);
        bits.extend(odd);
    }
    Ok(bits.swap_remove(0))
}

/// ⊕ of at least one.
fn exclusive_or(bits: &[Bits]) -> Bits {
    let sum = |sum: Bits, next: &Bits| sum.xor(next);
    bits[1..].iter().fold(bits[0].clone(), sum)
}

/// A uniform word r with bits. P_i contributes r_i as a word and as bits, r = Σ r_i; its bits are those of the sum of n numbers
/// (`sum.rs`), and r >> p = Σ (r_i >> p) + (what crosses position p) - 2^(64-p)·(what crosses position 64), whose bits are
/// converted. One addition of n numbers; with a shift 2n - 1 conversions.
async fn mask<P: Primitives>(
    c: &Circuit<'_, P>,
    planes: u32,
    shift: Option<u32>,
) -> Result<Correlated> {
    let (n, parties) = (c.len(), c.parties());
    let (strand, protocol) = (c.strand(), c.protocol);
    let words = |w: Vec<u64>| w.into_iter().map(Wrapping).collect::<Vec<R64>>();
    let mut mine = words(c.private().words(n)?);
    // The bits that are added up: all of them where those that cross the end are needed.
    let k = if shift.is_some() { 64 } else { planes };
    let bits = to_bits(&mine, k);
    if let Some(p) = shift {
        mine.extend_from_within(..);
        mine[n..].iter_mut().for_each(|w| *w >>= p as usize);
    }
    let shares = protocol.input_words(strand, &parties, mine.len(), Some(&mine));
    let shares = shares.await?;
    let total = |sum: Words, next: &Words| sum.plus(next);
    let total = shares[1..].iter().fold(shares[0].clone(), total);
    if k == 0 {
        let bits = total.each(|_| Vec::new());
        return Ok(Correlated { words: total, bits });
    }
    let numbers = protocol.input_bits(strand, &parties, k as usize, Some(&bits));
    let numbers = numbers.await?;
    let low = planes as usize;
    let Some(p) = shift else {
        let Sum { planes, .. } = sum(c, numbers, low, &[]).await?;
        return Ok(Correlated {
            words: total,
            bits: planes,
        });
    };
    let Sum {
        planes: bits,
        top,
        crossing,
    } = sum(c, numbers, low, &[p, 64]).await?;
    let ([below, end], Some(top)) = (&crossing[..], &top) else {
        unreachable!("two places were asked for")
    };
    let wanted: Vec<&Bits> = below.iter().chain(end).chain([top]).collect();
    let converted = to_words(c, &Bits::concat(&wanted)).await?.separate(n);
    let (carried, rest) = converted.split_at(below.len());
    let (wrapped, top) = rest.split_at(end.len());
    let mut total = total.separate(n);
    let mut high = total.swap_remove(1);
    high = carried.iter().fold(high, |high, bit| high.plus(bit));
    high = wrapped
        .iter()
        .fold(high, |high, bit| high.minus(&bit.times(power(64 - p))));
    Ok(Correlated {
        words: Words::concat(&[&total[0], &high, &top[0]]),
        bits,
    })
}
