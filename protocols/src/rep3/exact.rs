//! Truncation without error: protocol T3 of the specification, and the floor of a fixed-point number.
//!
//! Both are right for every sharing, so nothing of the sharing enters the result and no coin is handed out. The carry that T1
//! leaves to chance is computed: a comparison of p bits (`compare.rs`). Semi-honest.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Role, Strand};

use super::bits::{Plane, to_words};
use super::compare::negative;
use super::exchange::{Halves, deal_words, swap_words};
use super::held::{Held, Words, is_a, mask};
use super::plan::Method;

const ONE: R64 = Wrapping(1);
const TWO: R64 = Wrapping(2);

/// The bit \[a + b >= 2^p\] of p-bit values a at A and B, b at D.
async fn carry(strand: &Strand<'_>, low: Words, p: u32, method: &Method) -> Result<Held<Plane>> {
    // The sum has p + 1 bits, and its top bit is where a sign would be. Trees have two bits at least.
    if p == 1 {
        let doubled: Words = low.iter().map(|&x| x << 1).collect();
        return negative(strand, &doubled, 2, method).await;
    }
    negative(strand, &low, p, method).await
}

/// floor(x/2^p) over Z_2^64 from this party's side of x = c + s mod 2^K, for -2^(K-2) <= x < 2^(K-2), by a method
/// for p bits, at least two.
///
/// With c', r and w as in T1 (`truncate.rs`), (c' >> p) - (r >> p) + 2^(K-p)·w is too large by b = \[c' mod 2^p < r mod 2^p\].
/// D deals -(r >> p) and λ_b over Z_2^64 and msb(r) over Z_2^e, e = p + 64 - K; A and B swap 2^(K-p)·w - b at once. A
/// comparison of p bits and 256 + e bits; 43.4 bytes in 5 rounds at p = 16, K = 64 (the specification swaps w and b apart).
pub(crate) async fn truncate_exact(
    strand: &Strand<'_>,
    side: &[R64],
    k: u32,
    p: u32,
    method: &Method,
) -> Result<Held<Words>> {
    debug_assert!(0 < p && p + 2 <= k && k <= 64, "p = {p}, K = {k}");
    let n = side.len();
    let e = p + 64 - k;
    let (shift, low) = (p as usize, mask(k));
    // c' at A and B, r at D.
    let dealer = strand.role() == Role::Dealer;
    let own: Words = side
        .iter()
        .map(|&x| if dealer { -x } else { x + (ONE << (k as usize - 2)) } & low)
        .collect();
    // b = [r_low + ~c'_low carries].
    let lows = own.iter().map(|&x| if dealer { x } else { !x } & mask(p));
    let b = carry(strand, lows.collect(), p, method).await?;
    let top = deal_words(strand, n, e, || {
        own.iter().map(|&r| r >> (k as usize - 1)).collect()
    })
    .await?;
    let lambda = b.lambda();
    let dealt = deal_words(strand, 2 * n, 64, || {
        let high = own.iter().map(|&r| -(r >> shift));
        high.chain(to_words(&lambda.unwrap_or_default(), n))
            .collect()
    })
    .await?;
    let u = match (&b, top.half(), dealt.half()) {
        (Held::Pair { common: m, .. }, Some(top), Some(dealt)) => {
            let constant = if is_a(strand) { ONE } else { Wrapping(0) };
            let terms = own
                .iter()
                .zip(top)
                .zip(to_words(m, n).into_iter().zip(&dealt[n..]));
            Some(
                terms
                    .map(|((&c, &top), (m, &l))| {
                        let w = (ONE - (c >> (k as usize - 1))) * top;
                        (w << (k as usize - shift)) - (constant * m + (ONE - TWO * m) * l)
                    })
                    .collect(),
            )
        }
        _ => None,
    };
    let mut y = swap_words(strand, n, 64, u).await?;
    let add = |x: &mut Words, y: &[R64]| x.iter_mut().zip(y).for_each(|(x, &y)| *x += y);
    match (&mut y, &dealt) {
        (Held::Dealer { a, b }, Halves::Dealer { a: ha, b: hb }) => {
            add(a, &ha[..n]);
            add(b, &hb[..n]);
        }
        (Held::Pair { half, common }, Halves::Pair(dealt)) => {
            add(half, &dealt[..n]);
            let offset = ONE << (k as usize - 2 - shift);
            let high: Words = own.iter().map(|&c| (c >> shift) - offset).collect();
            add(common, &high);
        }
        _ => unreachable!("one strand has one role"),
    }
    Ok(y)
}

/// 2^p·floor(x/2^p) for every word x, by a method for p bits: what is left of x without its p low bits.
///
/// x >> p = (c >> p) + (s >> p) + \[c_low + s_low carries\] modulo 2^(64-p), so D deals s >> p and the carry's λ, and A and B
/// swap the carry, all over Z_2^(64-p). A comparison of p bits and 4·(64 - p) bits, 5 rounds, D's
/// included.
pub(crate) async fn floor(
    strand: &Strand<'_>,
    side: &[R64],
    p: u32,
    method: &Method,
) -> Result<Held<Words>> {
    let (n, bits, shift) = (side.len(), 64 - p, p as usize);
    let lows = side.iter().map(|&x| x & mask(p)).collect();
    let b = carry(strand, lows, p, method).await?;
    let lambda = b.lambda();
    let dealt = deal_words(strand, 2 * n, bits, || {
        let high = side.iter().map(|&s| s >> shift);
        high.chain(to_words(&lambda.unwrap_or_default(), n))
            .collect()
    })
    .await?;
    let u = match (&b, dealt.half()) {
        (Held::Pair { common: m, .. }, Some(dealt)) => {
            let constant = if is_a(strand) { ONE } else { Wrapping(0) };
            let terms = to_words(m, n).into_iter().zip(&dealt[n..]);
            Some(
                terms
                    .map(|(m, &l)| constant * m + (ONE - TWO * m) * l)
                    .collect(),
            )
        }
        _ => None,
    };
    let carry = swap_words(strand, n, bits, u).await?;
    let lift = |x: &[R64], y: &[R64]| -> Words {
        let sums = x.iter().zip(y).map(|(&x, &y)| (x + y) << shift);
        sums.collect()
    };
    Ok(match (carry, &dealt) {
        (Held::Dealer { a, b }, Halves::Dealer { a: ha, b: hb }) => Held::Dealer {
            a: lift(&a, &ha[..n]),
            b: lift(&b, &hb[..n]),
        },
        (Held::Pair { half, common }, Halves::Pair(dealt)) => {
            let high: Words = side.iter().map(|&c| c >> shift).collect();
            Held::Pair {
                half: lift(&half, &dealt[..n]),
                common: lift(&common, &high),
            }
        }
        _ => unreachable!("one strand has one role"),
    })
}

/// On uniform masks, up to the stated bounds: this file, and the comparisons that it and its neighbours are made of.
#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::a2b::bits;
    use super::super::convert::to_arithmetic;
    use super::super::equal::zero;
    use super::super::plan::Depth;
    use super::super::uniform::opened;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn truncation_is_the_floor_up_to_the_bound(k in 40u32..=64, p in 1u32..=36, depth in select(&Depth::ALL[..]), seed: u64, raw in prop::collection::vec(any::<i64>(), 400)) {
            let mut x: Vec<i64> = raw.iter().map(|v| v >> (64 - (k - 1))).collect(); // [-2^(k-2), 2^(k-2))
            x[..6].copy_from_slice(&[0, -1, 1, (1 << (k - 2)) - 1, -(1 << (k - 2)), 1 << p]);
            let words: Vec<u64> = x.iter().map(|&x| x as u64).collect();
            let method = Method::cheapest(p.max(2), depth);
            let y = opened(&words, seed, async |strand, held| {
                let side: Words = held.side().iter().map(|&w| w & mask(k)).collect();
                truncate_exact(strand, &side, k, p, &method).await
            });
            for (x, y) in x.iter().zip(y) {
                prop_assert_eq!(y as i64, x >> p);
            }
        }

        #[test]
        fn floors_and_zeros_are_exact_for_every_word(p in 8u32..=22, depth in select(&Depth::ALL[..]), seed: u64, raw in prop::collection::vec(any::<u64>(), 400)) {
            let mut x = raw;
            x[..5].copy_from_slice(&[0, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << p]);
            let method = Method::cheapest(p, depth);
            let y = opened(&x, seed, async |strand, held| floor(strand, &held.side(), p, &method).await);
            for (x, y) in x.iter().zip(y) {
                prop_assert_eq!(y, x >> p << p);
            }
            x[7] = 0;
            let y = opened(&x, seed, async |strand, held| {
                let bit = zero(strand, &held.side(), depth).await?;
                to_arithmetic(strand, &bit).await
            });
            for (x, y) in x.iter().zip(y) {
                prop_assert_eq!(y, u64::from(*x == 0));
            }
        }

        #[test]
        fn signs_are_exact_up_to_their_bound(k in 2u32..=63, depth in select(&Depth::ALL[..]), seed: u64, raw in prop::collection::vec(any::<i64>(), 400)) {
            let mut x: Vec<i64> = raw.iter().map(|v| v >> (63 - k)).collect(); // [-2^k, 2^k)
            x[..3].copy_from_slice(&[0, -1, 1]);
            let words: Vec<u64> = x.iter().map(|&x| x as u64).collect();
            let method = Method::cheapest(k, depth);
            let y = opened(&words, seed, async |strand, held| {
                let bit = negative(strand, &held.side(), k, &method).await?;
                to_arithmetic(strand, &bit).await
            });
            for (x, y) in x.iter().zip(y) {
                prop_assert_eq!(y, u64::from(*x < 0));
            }
        }

        #[test]
        fn bits_add_up_to_the_word(first in 0u32..20, count in 4u32..45, seed: u64, x in prop::collection::vec(any::<u64>(), 200)) {
            let wanted = first..(first + count).min(64);
            let y = opened(&x, seed, async |strand, held| {
                let mut sum: Option<Held<Words>> = None;
                for (j, bit) in bits(strand, &held.side(), wanted.clone()).await?.iter().enumerate() {
                    let bit = to_arithmetic(strand, bit).await?.each(|v| v.iter().map(|&w| w << j).collect());
                    sum = Some(sum.map_or_else(|| bit.clone(), |s: Held<Words>| s.zip(&bit, |a, b| super::super::held::add(a, b))));
                }
                Ok(sum.unwrap())
            });
            for (x, y) in x.iter().zip(y) {
                prop_assert_eq!(y, x >> wanted.start & (u64::MAX >> (64 - wanted.len())));
            }
        }
    }
}
