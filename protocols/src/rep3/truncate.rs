//! Truncation by p bits: protocol T1 of the specification.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::exchange::{Halves, deal_words, swap_words};
use super::held::{Held, Words, mask};

/// T1: from x = c + s mod 2^K (this party's side of it) to floor((x + t)/2^p) over Z_2^64, for -2^(K-2) <= x < 2^(K-2).
///
/// ```text
/// pair: c' = c + 2^(K-2)    dealer: r = -s          (c' = x' + r, x' = x + 2^(K-2) in [0, 2^(K-1)))
/// 1. D deals -(r >> p) over Z_2^64 and u = msb(r) over Z_2^e, e = p + 64 - K
/// 2. A and B swap (1 - msb(c'))·u  over Z_2^e  ->  w, the bit [c' wrapped]
/// 3. y = (c' >> p) - (r >> p) + 2^(K-p)·w - 2^(K-2-p)
/// ```
/// c' wraps iff msb(r) = 1 and msb(c') = 0, because x' < 2^(K-1); and 2^(K-p)·w needs w modulo 2^e only.
///
/// Functionality: the result is floor((x + t)/2^p) where t in [0, 2^p) is a function of the corrupt party's own shares, so it
/// is off by at most one unit and never grossly; multiples of 2^p are exact. t is uniform if c is, as after
/// [`super::bilinear`]; SECURITY.md says what handing it out means. Never share-wise truncation: its gross errors with
/// probability 2^-(64-bits(x)) ruin trainings silently (Zhou et al., AAAI 2025; Orca, ePrint 2023/206).
///
/// 64 + 3e bits, 2 rounds of which D's is the first. Known-msb truncation (Dalskov, Escudero, Keller, ePrint 2019/131) with the
/// wrap bit shared in e bits and the opened value replaced by the common share.
pub(crate) async fn truncate(
    strand: &Strand<'_>,
    side: &[R64],
    k: u32,
    p: u32,
) -> Result<Held<Words>> {
    debug_assert!(0 < p && p + 2 <= k && k <= 64, "p = {p}, K = {k}");
    let n = side.len();
    let e = p + 64 - k;
    let (p, low) = (p as usize, mask(k));
    let r = || side.iter().map(move |&s| -s & low);
    let high = deal_words(strand, n, 64, || r().map(|r| -(r >> p)).collect()).await?;
    let top = deal_words(strand, n, e, || {
        r().map(|r| r >> (k as usize - 1)).collect()
    })
    .await?;
    let c: Words = side
        .iter()
        .map(|&c| (c + Wrapping(1 << (k - 2))) & low)
        .collect();
    let wrap = top.half().map(|u| {
        c.iter()
            .zip(u)
            .map(|(&c, &u)| (Wrapping(1) - (c >> (k as usize - 1))) * u)
            .collect()
    });
    let w = swap_words(strand, n, e, wrap).await?;
    let lift = |y: &[R64], w: &[R64]| {
        y.iter()
            .zip(w)
            .map(|(&y, &w)| y + (w << (k as usize - p)))
            .collect::<Words>()
    };
    Ok(match (high, w) {
        (Halves::Dealer { a, b }, Held::Dealer { a: wa, b: wb }) => Held::Dealer {
            a: lift(&a, &wa),
            b: lift(&b, &wb),
        },
        (
            Halves::Pair(half),
            Held::Pair {
                half: wh,
                common: wc,
            },
        ) => {
            let offset = Wrapping(1u64 << (k as usize - 2 - p));
            let c: Words = c.iter().map(|&c| (c >> p) - offset).collect();
            Held::Pair {
                half: lift(&half, &wh),
                common: lift(&c, &wc),
            }
        }
        _ => unreachable!("one strand has one role"),
    })
}
