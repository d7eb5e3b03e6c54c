//! Functions of one variable on a bounded range, by piecewise polynomials and by exponentials, whose masks hold all that is
//! secret.
//!
//! With the split of `cells.rs`, x - lo = 2^d·e + L_c + L_s, e = v + w mod 2^κ the cell or one less, and
//! a = L_c/2^d - 1/2, b = L_s/2^d - 1/2, the polynomial is Σ_j A_j·(a + b)^j = Σ_i b^i·Q_i,
//! Q_i = Σ_{j>=i} A_j·C(j,i)·a^(j-i), and everybody computes Q_i for every cell, since c is public. So
//!     F(x) = Σ_i b^i·Σ_w \[w\]·Q_i(v + w):
//! the inner sum is local, the outer one a product. e^x = e^(lo + 2^d·e + L_c)·e^(L_s) likewise. One word opened, a product, a
//! rounding: 3 rounds. One-time tables turned by a mask: Ishai et al., TCC 2013; the split in this form is that of
//! [`crate::rep3`], new, not peer reviewed.
//!
//! What everybody learns is c, uniform, and the mask of the rounding. Which of two cells is taken and what is rounded off
//! depends on the masks, within the stated accuracy. Out of range the result is wrong without notice.

use std::num::Wrapping;
use std::sync::Arc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Result};

use super::cells::Cells;
use super::circuit::{Circuit, power};
use super::correlation::{Correlation, draw};
use super::primitives::Primitives;
use super::share::Words;
use super::truncate::Rounding;
use crate::rep3::exp::ExpTables;
use crate::rep3::lookup::Prepared;

/// x, cut at the mask: \[w\] for every w, the factors of L_s, and v and L_c for each element.
struct Split {
    unit: Vec<Words>,
    factors: Vec<Words>,
    cell: Vec<usize>,
    low: Vec<u64>,
}

/// Opens x - lo less a mask.
async fn split<P: Primitives>(
    c: &Circuit<'_, P>,
    x: &Words,
    lo: i64,
    d: u32,
    log2_cells: u32,
    cells: Cells,
) -> Result<Split> {
    let (mut words, _) = draw(c, &Correlation::Cells(cells)).await?;
    let factors = words.split_off(1 + (1 << log2_cells));
    let unit = words.split_off(1);
    let opened = c.open(&x.minus(&words[0])).await?;
    let rest = opened
        .iter()
        .map(|w| (w - Wrapping(lo as u64)).0 & (u64::MAX >> (64 - d - log2_cells)));
    let (cell, low) = rest
        .map(|w| ((w >> d) as usize, w & ((1 << d) - 1)))
        .unzip();
    Ok(Split {
        unit,
        factors,
        cell,
        low,
    })
}

impl Split {
    /// Σ_w \[w\]·row\[v + w\], for rows of a word an element. Local.
    fn choose(&self, rows: &[Vec<R64>]) -> Words {
        let last = rows.len() - 1;
        let turned: Vec<Vec<R64>> = (0..rows.len())
            .map(|w| {
                let cells = self.cell.iter().enumerate();
                cells.map(|(i, v)| rows[(v + w) & last][i]).collect()
            })
            .collect();
        let mut chosen: Vec<Vec<R64>> = self.unit[0]
            .parts()
            .iter()
            .map(|x| vec![R64::default(); x.len()])
            .collect();
        for (unit, row) in self.unit.iter().zip(&turned) {
            for (sum, unit) in chosen.iter_mut().zip(unit.parts()) {
                let terms = sum.iter_mut().zip(unit.iter().zip(row));
                vectorised(|| terms.for_each(|(sum, (u, q))| *sum += u * q));
            }
        }
        Words::new(chosen)
    }
}

/// F(x), with `plus` added before the rounding, at the scale of the products.
pub(super) async fn evaluate<P: Primitives>(
    c: &Circuit<'_, P>,
    t: &Arc<Prepared>,
    x: &Words,
    plus: Option<&Words>,
    rounding: Rounding,
) -> Result<Words> {
    let split = split(c, x, t.lo, t.d, t.log2_cells, Cells::table(t)).await?;
    let rows = t.rows(&split.low);
    let mut chosen = rows.iter().map(|rows| split.choose(rows));
    let constant = chosen.next().map(|q| q.times(power(t.scale)));
    let terms: Vec<_> = chosen.zip(split.factors.iter().cloned()).collect();
    let mut sum = c.product(&terms).await?;
    for summand in constant.iter().chain(plus) {
        sum = sum.plus(summand);
    }
    rounding.apply(c, &sum, t.shift).await
}

/// e^x.
pub(super) async fn exp<P: Primitives>(
    c: &Circuit<'_, P>,
    t: &Arc<ExpTables>,
    x: &Words,
    rounding: Rounding,
) -> Result<Words> {
    let (f, range) = (t.f, t.range);
    let (lo, d) = (range.lo << f, f + range.log2_width);
    let split = split(c, x, lo, d, range.log2_cells, Cells::exponential(t)).await?;
    let low = t.exp_lows(&split.low);
    let rows: Vec<Vec<R64>> = t.cells.iter().map(|&cell| t.row(cell, &low)).collect();
    let product = c.multiply(&split.factors[0], &split.choose(&rows)).await?;
    rounding.apply(c, &product, range.shift(f)).await
}
