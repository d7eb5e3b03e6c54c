//! Functions of one variable on a bounded range, by piecewise polynomials of which no coefficient is dealt.
//!
//! As in [`crate::rep3`]'s tables, with the cells of [`tacit_nn::table`]: for c = x_{d+2} - lo known to both others and
//! s = x_d + x_{d+1} known to the dealer,
//!     c = 2^d·v + L_c,  s = 2^d·w + L_s,  x - lo = 2^d·e + L_c + L_s,  e = v + w mod 2^κ the cell or one less,
//! and with a = L_c/2^d - 1/2, b = L_s/2^d - 1/2 the polynomial is Σ_j A_j·(a + b)^j = Σ_i b^i·Q_i,
//! Q_i = Σ_{j>=i} A_j·C(j,i)·a^(j-i). Both others compute Q_i for every w, turned by their v; so
//!     Q_i(e) = Σ_w \[w\]·Q_i(v + w)
//! is a product of the dealer's unit vector of w by what two parties know, 16 bytes for each i. The powers b^i are the dealer's
//! (`known.rs`). What rep3's dealer deals is proved here, with the two sides exchanged.
//!
//! (d+κ)/8 + 8 + 8·(2^κ - 1) + 24·(deg - 1) + 16·(deg + 1) + 24 bytes and a truncation, 5 rounds: 225.4 bytes for four cells of
//! width 2 and degree 4 at f = 18. Out of range the result is wrong without notice. Rows are turned without an address that is
//! secret.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::bilinear::Rounding;
use super::circuit::Circuit;
use super::known::{concat, constant, multiply_rounded, separate, unit_vector};
use super::pair::{Words, joint_beside};
use super::product::{Support, product};
use super::split::{Sign, Split, Sum, common};
use super::truncate::truncate_known;
use crate::rep3::lookup::Prepared;
use crate::rep3::select_row::rotate;

/// x less its lower end, cut into cells.
pub(super) struct Cut {
    /// The unit vector of w, known to the dealer.
    pub(super) unit: Vec<Words>,
    /// The dealer's bits.
    pub(super) split: Split,
    /// v, and L_c, at the two others.
    pub(super) common: Option<(Vec<R64>, Vec<u64>)>,
}

/// Cuts x - lo, of d + `log2_cells` bits, at bit d, and takes `sums` of the dealer's bits.
pub(super) async fn cut<const N: usize>(
    c: &Circuit<'_>,
    x: &Words,
    lo: i64,
    d: u32,
    log2_cells: u32,
    sums: [Sum; N],
) -> Result<(Cut, [Words; N])> {
    let lo = Wrapping(lo as u64);
    let k = d + log2_cells;
    let (split, sums) = Split::with_sums(c, x, k, Sign::Plus, sums).await?;
    let unit = unit_vector(c, &split, d, log2_cells).await?;
    // The lower end is taken off where c is known.
    let common = common(c, x).map(|words| {
        let rest = words.iter().map(|&w| (w - lo).0 & (u64::MAX >> (64 - k)));
        rest.map(|w| (Wrapping(w >> d), w & ((1 << d) - 1))).unzip()
    });
    let cut = Cut {
        unit,
        split,
        common,
    };
    Ok((cut, sums))
}

impl Cut {
    /// Σ_w \[w\]·row\[v + w\] for each of `count` tables of rows that the two others know. 16 bytes each, 1 round.
    pub(super) async fn choose(
        &self,
        c: &Circuit<'_>,
        count: usize,
        rows: impl Fn(&[u64]) -> Vec<Vec<Vec<R64>>>,
    ) -> Result<Vec<Words>> {
        let (me, at, n) = (c.me(), c.dealer() + 2, c.len());
        let zero = Rc::new(vec![R64::default(); count * n]);
        let turned = self.common.as_ref().map(|(cells, low)| {
            let turn = |rows: Vec<Vec<R64>>| {
                let mut rows = rows.concat();
                rotate(&mut rows, cells);
                rows
            };
            rows(low).into_iter().map(turn).collect::<Vec<_>>()
        });
        let terms: Vec<_> = self
            .unit
            .iter()
            .enumerate()
            .map(|(w, unit)| {
                let row = |tables: &Vec<Vec<R64>>| {
                    let rows = tables.iter().flat_map(|t| &t[w * n..][..n]);
                    Rc::new(rows.copied().collect())
                };
                let row = joint_beside(me, at, &zero, turned.as_ref().map(row));
                (concat(std::iter::repeat_n(unit, count)), row)
            })
            .collect();
        let chosen = product(c, &terms, Support::PairBySingle(at)).await?;
        Ok(separate(&chosen, n))
    }
}

/// F(x), with `plus` added before the rounding, at the scale of the products.
pub(crate) async fn evaluate(
    c: &Circuit<'_>,
    t: &Prepared,
    x: &Words,
    plus: Option<&Words>,
    rounding: Rounding,
) -> Result<Words> {
    let (d, scale, degree) = (t.d, t.scale, t.degree);
    let word = Sum {
        from: 64 - (d + t.log2_cells),
        up: 0,
    };
    let (cut, [s]) = cut(c, x, t.lo, d, t.log2_cells, [word]).await?;
    // L_s = s - 2^d·w.
    let weighed = cut.unit.iter().enumerate();
    let low = weighed.fold(s, |low, (w, u)| {
        low.minus(&u.times(Wrapping((w as u64) << d)))
    });
    let centred = low.minus(&constant(c, Wrapping(1 << (d - 1))));
    let b = if scale >= d {
        centred.times(Wrapping(1 << (scale - d)))
    } else {
        truncate_known(c, &centred, d - scale).await?
    };
    let mut powers = vec![b.clone()];
    for _ in 1..degree {
        let last = &powers[powers.len() - 1];
        powers.push(multiply_rounded(c, last, &b, scale).await?);
    }
    let q = cut.choose(c, degree + 1, |low| t.rows(low)).await?;
    let terms: Vec<_> = q[1..].iter().cloned().zip(powers).collect();
    let sum = product(c, &terms, Support::Full).await?;
    let mut sum = sum.plus(&q[0].times(Wrapping(1 << scale)));
    if let Some(plus) = plus {
        sum = sum.plus(plus);
    }
    rounding.apply(c, &sum, t.shift).await
}
