//! Intervals of piecewise polynomials.

use super::Interval;
use crate::{Table, table};

/// Parts of a cell that are looked at one by one.
const PARTS: usize = 32;

/// The least and greatest value of a table on each part of each cell.
#[derive(Debug)]
pub(super) struct Bounds {
    lo: f64,
    part: f64,
    parts: Vec<(f64, f64)>,
}

impl Bounds {
    pub(super) fn of(t: &Table) -> Self {
        let cells = table::fit(t);
        let last = cells.len() - 1;
        let part = t.width() / PARTS as f64;
        let mut parts = Vec::with_capacity(last * PARTS);
        for cell in 0..last {
            let before = if cell == 0 { last } else { cell - 1 };
            for k in 0..PARTS {
                let start = (cell * PARTS + k) as f64 * part;
                // Polynomials are not good beyond the end of the table.
                if t.lo + start >= t.hi {
                    break;
                }
                let u = k as f64 / PARTS as f64 - 1.0;
                let end = (u + 1.0 / PARTS as f64).min(u + (t.hi - t.lo - start) / t.width());
                let own = values(&cells[cell], (u, end));
                // A sharing may take the polynomial of the cell before.
                let other = values(&cells[before], (u + 1.0, end + 1.0));
                parts.push((own.0.min(other.0), own.1.max(other.1)));
            }
        }
        Self {
            lo: t.lo,
            part,
            parts,
        }
    }

    /// The values on an interval of words within the range of the table.
    pub(super) fn range(&self, (lo, hi): Interval, fraction_bits: u32) -> (f64, f64) {
        let unit = 2f64.powi(-(fraction_bits as i32));
        let place = |w: i128| ((w as f64 * unit - self.lo) / self.part).floor().max(0.0) as usize;
        // A part more at each end, where the quotient may have been rounded.
        let first = place(lo).saturating_sub(1);
        let end = (place(hi) + 2).min(self.parts.len());
        self.parts[first.min(end)..end]
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), p| {
                (lo.min(p.0), hi.max(p.1))
            })
    }
}

/// Σ cⱼ·u^j for u in an interval: by its coefficients around the middle.
fn values(coefficients: &[f64], (a, b): (f64, f64)) -> (f64, f64) {
    let (middle, half) = ((a + b) / 2.0, (b - a) / 2.0);
    let mut moved = coefficients.to_vec();
    let n = moved.len();
    for k in 0..n {
        for j in (k..n - 1).rev() {
            moved[j] += middle * moved[j + 1];
        }
    }
    let rest = moved.iter().skip(1).rev();
    let radius = rest.fold(0.0, |sum, c| (sum + c.abs()) * half);
    // For the rounding of the sums here and there, in which coefficients of size up to their sum cancel.
    let size: f64 = coefficients.iter().map(|c| c.abs()).sum();
    let radius = radius + size * 1e-9;
    let at = moved.first().copied().unwrap_or(0.0);
    (at - radius, at + radius)
}
