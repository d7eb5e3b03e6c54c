//! The floor of a fixed-point number, exactly.
//!
//! It is right for every sharing, so nothing of the sharing enters the result and no coin is handed out. The carry that T1
//! leaves to chance is computed: a comparison of p bits (`compare.rs`). Semi-honest.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::bits::{Plane, to_words};
use super::compare::negative;
use super::exchange::{Halves, deal_words, swap_words};
use super::held::{Held, Words, is_a, mask};
use super::plan::{Depth, Tree};

const ONE: R64 = Wrapping(1);
const TWO: R64 = Wrapping(2);

/// Few bits are compared, so that the flatter tree costs hardly more bytes.
pub(super) const CARRY_DEPTH: Depth = Depth::Two;

/// The bit \[a + b >= 2^p\] of p-bit values a at A and B, b at D.
async fn carry(strand: &Strand<'_>, low: Words, p: u32, tree: &Tree) -> Result<Held<Plane>> {
    // The sum has p + 1 bits, and its top bit is where a sign would be.
    negative(strand, &low, p, tree).await
}

/// 2^p·floor(x/2^p) for every word x, by a tree for p bits: what is left of x without its p low bits.
///
/// x >> p = (c >> p) + (s >> p) + \[c_low + s_low carries\] modulo 2^(64-p), so D deals s >> p and the carry's λ, and A and B
/// swap the carry, all over Z_2^(64-p). A comparison of p bits and 4·(64 - p) bits, 5 rounds, D's
/// included.
pub(crate) async fn floor(
    strand: &Strand<'_>,
    side: &[R64],
    p: u32,
    tree: &Tree,
) -> Result<Held<Words>> {
    let (n, bits, shift) = (side.len(), 64 - p, p as usize);
    let lows = side.iter().map(|&x| x & mask(p)).collect();
    let b = carry(strand, lows, p, tree).await?;
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
