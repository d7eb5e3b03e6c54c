//! From bits to words: the bit as a number, and bit times number.
//!
//! As integers b = m + (1 - 2m)·λ for b = m ⊕ λ, m known to A and B, λ to D.

use std::num::Wrapping;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Result, Strand};

use super::bits::{Plane, to_words};
use super::exchange::{Halves, deal_words, swap_words};
use super::held::{Held, Words, is_a};

const ONE: R64 = Wrapping(1);

/// All ones where the plane's bit is set and zero elsewhere, for n values.
pub(super) fn masks(plane: &[u64], n: usize) -> Words {
    let mut masks = to_words(plane, n);
    vectorised(|| masks.iter_mut().for_each(|m| *m = -*m));
    masks
}

/// (1 - 2m)·x for a mask of all ones (m = 1) or zero: -x = ~x + 1.
fn negated(x: R64, mask: R64) -> R64 {
    (x ^ mask) - mask
}

/// The bit as 0 or 1 in Z_2^64: D deals λ; u_A = m + (1-2m)·λ_A, u_B = (1-2m)·λ_B; swap. 24 bytes, 2 rounds (D's first).
pub(crate) async fn to_arithmetic(strand: &Strand<'_>, bit: &Held<Plane>) -> Result<Held<Words>> {
    let n = strand.chunk().len();
    let lambda = bit.lambda();
    let halves = deal_words(strand, n, 64, || to_words(&lambda.unwrap_or_default(), n)).await?;
    let u = match (bit, halves) {
        (Held::Pair { common, .. }, Halves::Pair(mut u)) => {
            let constant = if is_a(strand) { ONE } else { Wrapping(0) };
            let m = masks(common, n);
            vectorised(|| {
                u.iter_mut()
                    .zip(m)
                    .for_each(|(l, m)| *l = negated(*l, m) + (constant & m));
            });
            Some(u)
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
        let mut dealt = to_words(&lambda.unwrap_or_default(), n);
        let q = x.side();
        let products = q.into_iter().zip(&dealt).map(|(q, &l)| q & -l);
        let products: Words = vectorised(|| products.collect());
        dealt.extend_from_slice(&products);
        dealt
    })
    .await?;
    let u = match (bit, x, dealt) {
        (Held::Pair { common: m, .. }, Held::Pair { half, common: c }, Halves::Pair(mut u)) => {
            let (l, q) = u.split_at_mut(n);
            let with_c = if is_a(strand) {
                Wrapping(u64::MAX)
            } else {
                Wrapping(0)
            };
            let values = l.iter_mut().zip(q).zip(masks(m, n)).zip(c).zip(half);
            vectorised(|| {
                for ((((l, &mut q), m), &c), &half) in values {
                    let product = negated(*l * c + q, m);
                    *l = product + (m & (half + (with_c & c)));
                }
            });
            u.truncate(n);
            Some(u)
        }
        _ => None,
    };
    swap_words(strand, n, 64, u).await
}
