//! Truncation by p bits: protocol T1 of the specification.

use std::num::Wrapping;

use tacit_mpc::kernels::vectorised;
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
    let top = k as usize - 1;
    let r = || side.iter().map(move |&s| -s & low);
    let high = || vectorised(|| r().map(|r| -(r >> p)).collect());
    let high = deal_words(strand, n, 64, high).await?;
    let wrapped = || vectorised(|| r().map(|r| r >> top).collect());
    let wrapped = deal_words(strand, n, e, wrapped).await?;
    let start = Wrapping(1 << (k - 2));
    let wrap = wrapped.into_half().map(|mut u| {
        // (1 - msb(c'))·u, without a multiplication.
        let kept = side
            .iter()
            .map(|&c| (((c + start) & low) >> top) - Wrapping(1));
        vectorised(|| u.iter_mut().zip(kept).for_each(|(u, kept)| *u &= kept));
        u
    });
    let w = swap_words(strand, n, e, wrap).await?;
    let lift = |y: &mut [R64], w: &[R64]| {
        vectorised(|| {
            y.iter_mut()
                .zip(w)
                .for_each(|(y, &w)| *y += w << (k as usize - p));
        });
    };
    Ok(match (high, w) {
        (Halves::Dealer { mut a, mut b }, Held::Dealer { a: wa, b: wb }) => {
            lift(&mut a, &wa);
            lift(&mut b, &wb);
            Held::Dealer { a, b }
        }
        (
            Halves::Pair(mut half),
            Held::Pair {
                half: wh,
                mut common,
            },
        ) => {
            lift(&mut half, &wh);
            let offset = Wrapping(1u64 << (k as usize - 2 - p));
            vectorised(|| {
                for (w, &c) in common.iter_mut().zip(side) {
                    *w = (((c + start) & low) >> p) - offset + (*w << (k as usize - p));
                }
            });
            Held::Pair { half, common }
        }
        _ => unreachable!("one strand has one role"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::uniform::opened;
    use super::*;

    /// T1 of x over Z_2^k by p bits, opened.
    fn truncated(x: &[i64], k: u32, p: u32, seed: u64) -> Vec<i64> {
        let words: Vec<u64> = x.iter().map(|&x| x as u64).collect();
        let opened = opened(&words, seed, async |strand, held| {
            let side: Words = held.side().iter().map(|&w| w & mask(k)).collect();
            truncate(strand, &side, k, p).await
        });
        opened.into_iter().map(|w| w as i64).collect()
    }

    /// Error above the floor, in units.
    fn errors(x: &[i64], y: &[i64], p: u32) -> Vec<i64> {
        x.iter()
            .zip(y)
            .map(|(x, y)| y.wrapping_sub(x >> p))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Shares uniform over the ring and values up to the bound: the fault that fixed masks hide (AAAI 2025) would show.
        #[test]
        fn off_by_at_most_one_unit_up_to_the_bound(p in 1u32..=40, seed: u64, raw in prop::collection::vec(any::<i64>(), 1000)) {
            let mut x: Vec<i64> = raw.iter().map(|v| v >> 1).collect(); // [-2^62, 2^62)
            x[..6].copy_from_slice(&[0, -1, 1, (1 << 62) - 1, -(1 << 62), 1 << p]);
            let e = errors(&x, &truncated(&x, 64, p, seed), p);
            prop_assert!(e.iter().all(|e| (0..=1).contains(e)), "{:?}", e.iter().max());
            prop_assert!(x.iter().zip(&e).all(|(x, e)| x & ((1 << p) - 1) != 0 || *e == 0), "multiples of 2^p are exact");
        }

        #[test]
        fn smaller_rings_keep_their_bound(k in 40u32..=63, p in 10u32..=30, seed: u64, raw in prop::collection::vec(any::<i64>(), 300)) {
            let x: Vec<i64> = raw.iter().map(|v| v >> (64 - (k - 1))).collect(); // [-2^(k-2), 2^(k-2))
            let e = errors(&x, &truncated(&x, k, p, seed), p);
            prop_assert!(e.iter().all(|e| (0..=1).contains(e)));
        }
    }

    #[test]
    fn rounding_is_unbiased() {
        let p = 16;
        let x: Vec<i64> = (0..120_000)
            .map(|i| (i * 0x0123_4567_89AB_i64).wrapping_mul(31) >> 4)
            .collect();
        let e = errors(&x, &truncated(&x, 64, p, 3), p);
        let fraction = |x: &i64| (x & ((1 << p) - 1)) as f64 / f64::from(1 << p);
        let (excess, variance) = x.iter().zip(&e).fold((0.0, 0.0), |(m, v), (x, &e)| {
            let f = fraction(x);
            (m + e as f64 - f, v + f * (1.0 - f))
        });
        assert!((excess / f64::sqrt(variance)).abs() < 5.0, "{excess}");
    }

    /// The bound is real: half again beyond it a quarter of the results is grossly wrong.
    #[test]
    fn beyond_the_bound_results_are_wrong() {
        let x = vec![3 << 61; 4000];
        let wrong = errors(&x, &truncated(&x, 64, 16, 5), 16)
            .iter()
            .filter(|e| e.abs() > 1)
            .count();
        assert!((800..1200).contains(&wrong), "{wrong} of 4000");
    }
}
