//! From bits to words: the bit as a number, and bit times number.
//!
//! As integers b = m + (1 - 2m)·λ for b = m ⊕ λ, m known to A and B, λ to D.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::bits::{Plane, to_words};
use super::exchange::{Halves, deal_words, swap_words};
use super::held::{Held, Words, is_a};

const ONE: R64 = Wrapping(1);
const TWO: R64 = Wrapping(2);

/// The bit as 0 or 1 in Z_2^64: D deals λ; u_A = m + (1-2m)·λ_A, u_B = (1-2m)·λ_B; swap. 24 bytes, 2 rounds (D's first).
pub(crate) async fn to_arithmetic(strand: &Strand<'_>, bit: &Held<Plane>) -> Result<Held<Words>> {
    let n = strand.chunk().len();
    let lambda = bit.lambda();
    let halves = deal_words(strand, n, 64, || to_words(&lambda.unwrap_or_default(), n)).await?;
    let u = match (bit, halves) {
        (Held::Pair { common, .. }, Halves::Pair(l)) => {
            let constant = if is_a(strand) { ONE } else { Wrapping(0) };
            Some(
                to_words(common, n)
                    .into_iter()
                    .zip(l)
                    .map(|(m, l)| constant * m + (ONE - TWO * m) * l)
                    .collect(),
            )
        }
        _ => None,
    };
    swap_words(strand, n, 64, u).await
}

/// b·x = m·x + (1-2m)·(λ·c + λ·s) for x = c + s: D deals λ and λ·s;
///     u_A = m·(x_ia + c) + (1-2m)·(λ_A·c + q_A),   u_B = m·x_ib + (1-2m)·(λ_B·c + q_B),   q = shares of λ·s;
/// swap. 32 bytes, 2 rounds (D's first). The output masks are fresh: reusing q_B as a share would show λ_B·c, hence λ.
pub(crate) async fn select(
    strand: &Strand<'_>,
    bit: &Held<Plane>,
    x: &Held<Words>,
) -> Result<Held<Words>> {
    let n = strand.chunk().len();
    let lambda = bit.lambda();
    let dealt = deal_words(strand, 2 * n, 64, || {
        let l = to_words(&lambda.unwrap_or_default(), n);
        let q: Words = l.iter().zip(x.side()).map(|(&l, s)| l * s).collect();
        [l, q].concat()
    })
    .await?;
    let u = match (bit, x, dealt) {
        (Held::Pair { common: m, .. }, Held::Pair { half, common: c }, Halves::Pair(dealt)) => {
            let (l, q) = dealt.split_at(n);
            let with_c = if is_a(strand) { ONE } else { Wrapping(0) };
            let terms = to_words(m, n)
                .into_iter()
                .zip(half.iter().zip(c))
                .zip(l.iter().zip(q));
            Some(
                terms
                    .map(|((m, (&x, &c)), (&l, &q))| {
                        m * (x + with_c * c) + (ONE - TWO * m) * (l * c + q)
                    })
                    .collect(),
            )
        }
        _ => None,
    };
    swap_words(strand, n, 64, u).await
}
