//! Piecewise polynomials: the one set of coefficients by which every fixed-point engine evaluates a [`Table`].
//!
//! Parties deal from these coefficients and replay what they dealt, so they must be the same on every build: everything here
//! is IEEE arithmetic in a fixed order, and elementary functions come from `libm`, never from the platform.

use crate::{Error, Result};

/// A function on [lo, hi], fitted by polynomials of degree `degree` on cells of width 2^`cell`.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, for errors and reports.
    pub name: &'static str,
    /// The function, of IEEE arithmetic and `libm` alone.
    pub f: fn(f64) -> f64,
    /// Lower end of the range. Below it the result is wrong without notice.
    pub lo: f64,
    /// Upper end of the range. Above it the result is wrong without notice. hi - lo <= (2^log2_cells - 1)·2^cell.
    pub hi: f64,
    /// log2 of the width of a cell.
    pub cell: i32,
    /// log2 of the number of cells.
    pub log2_cells: u32,
    /// Degree of the polynomials.
    pub degree: usize,
    /// A bound on |f| over the range.
    pub max: f64,
}

/// Equal where name and layout are: a name stands for one function.
impl PartialEq for Table {
    fn eq(&self, o: &Self) -> bool {
        self.name == o.name
            && (self.lo, self.hi, self.max) == (o.lo, o.hi, o.max)
            && (self.cell, self.log2_cells, self.degree) == (o.cell, o.log2_cells, o.degree)
    }
}

impl Table {
    /// The table with the fewest coefficients that meets `tolerance` on [lo, hi]. Its `hi` is moved up to the end of the
    /// last cell, so `f` must be smooth a little beyond the range, and `max` must bound it there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no table of degree 14 or less with at most 64 cells is good enough.
    pub fn within(
        name: &'static str,
        f: fn(f64) -> f64,
        (lo, hi): (f64, f64),
        max: f64,
        tolerance: f64,
    ) -> Result<Self> {
        let mut best: Option<Self> = None;
        for log2_cells in 2..=6 {
            let cell = libm::log2((hi - lo) / f64::from((1u32 << log2_cells) - 1)).ceil() as i32;
            let hi = lo + f64::from((1u32 << log2_cells) - 1) * power_of_two(cell);
            let candidates = (2..=14).map(|degree| Self {
                name,
                f,
                lo,
                hi,
                cell,
                log2_cells,
                degree,
                max,
            });
            let Some(table) = candidates.into_iter().find(|t| fit_error(t) < tolerance) else {
                continue;
            };
            if best.is_none_or(|b| table.coefficients() < b.coefficients()) {
                best = Some(table);
            }
        }
        best.ok_or_else(|| {
            Error::Invalid(format!(
                "no table of {name} on [{lo}, {hi}] is within {tolerance}: allow a larger error"
            ))
        })
    }

    /// The width of a cell.
    #[must_use]
    pub fn width(&self) -> f64 {
        power_of_two(self.cell)
    }

    /// The lower end of the cell with this index; the last index stands for the guard cell below `lo`.
    fn start(&self, index: usize) -> f64 {
        let e = if index + 1 == 1 << self.log2_cells {
            -1.0
        } else {
            index as f64
        };
        self.lo + e * self.width()
    }

    /// The number of coefficients in all cells.
    fn coefficients(&self) -> usize {
        (self.degree + 1) << self.log2_cells
    }
}

/// Coefficients \[cell\]\[power\] in u = (x - centre)/2^cell ∈ [-1, 1), where centre = lo + 2^cell·(e + 1) for cell e.
///
/// A sharing splits x so that its cell is known only up to one (protocols-rep3, section 5), so cell e serves
/// [lo + 2^cell·e, lo + 2^cell·(e + 2)], cut to [lo, hi]; index 2^log2_cells - 1 stands for the guard cell e = -1.
/// Chebyshev interpolation, converted to powers. What hi cuts off shorter than one cell is fitted on the last cell's width
/// below hi, since powers fitted on a sliver of a cell are ill-conditioned. Cells wholly above hi are never used: zeros.
#[must_use]
pub fn fit(t: &Table) -> Vec<Vec<f64>> {
    let w = t.width();
    (0..1usize << t.log2_cells)
        .map(|index| {
            let start = t.start(index);
            if start > t.hi {
                return vec![0.0; t.degree + 1];
            }
            let (high, centre) = (t.hi.min(start + 2.0 * w), start + w);
            let low = t.lo.max(start.min(high - w));
            interpolate(
                |u| (t.f)(centre + u * w),
                (low - centre) / w,
                (high - centre) / w,
                t.degree,
            )
        })
        .collect()
}

/// Σ cⱼ·u^j.
#[must_use]
pub fn horner(coefficients: &[f64], u: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * u + c)
}

/// Powers of the polynomial that agrees with `f` in the degree + 1 Chebyshev points of [low, high].
fn interpolate(f: impl Fn(f64) -> f64, low: f64, high: f64, degree: usize) -> Vec<f64> {
    let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
    let n = degree + 1;
    let angle = |k: usize| std::f64::consts::PI * (k as f64 + 0.5) / n as f64;
    let values: Vec<f64> = (0..n)
        .map(|k| f(middle + half * libm::cos(angle(k))))
        .collect();
    // T_0 = 1, T_1 = s and T_(j+1) = 2·s·T_j - T_(j-1) as polynomials in u, where s = (u - middle)/half.
    let times_s = |p: &[f64]| -> Vec<f64> {
        (0..n)
            .map(|j| (if j > 0 { p[j - 1] } else { 0.0 } - middle * p[j]) / half)
            .collect()
    };
    let (mut before, mut chebyshev) = (vec![0.0; n], vec![0.0; n]);
    chebyshev[0] = 1.0;
    let mut sum = vec![0.0; n];
    for j in 0..n {
        let weight = if j == 0 { 1.0 } else { 2.0 } / n as f64;
        let c = weight
            * values
                .iter()
                .enumerate()
                .map(|(k, v)| v * libm::cos(j as f64 * angle(k)))
                .sum::<f64>();
        sum.iter_mut()
            .zip(&chebyshev)
            .for_each(|(s, p)| *s += c * p);
        let factor = if j == 0 { 1.0 } else { 2.0 };
        let next = times_s(&chebyshev)
            .iter()
            .zip(&before)
            .map(|(s, b)| factor * s - b)
            .collect();
        before = std::mem::replace(&mut chebyshev, next);
    }
    sum
}

/// 2^e, exact.
fn power_of_two(e: i32) -> f64 {
    libm::ldexp(1.0, e)
}

/// The largest error of any cell, on both of its widths within the range, over a grid.
fn fit_error(t: &Table) -> f64 {
    const GRID: u32 = 64;
    let w = t.width();
    fit(t)
        .iter()
        .enumerate()
        .flat_map(|(index, c)| {
            let centre = t.start(index) + w;
            (0..=2 * GRID).map(move |k| (f64::from(k) / f64::from(GRID) - 1.0, centre, c))
        })
        .filter(|(u, centre, _)| (t.lo..=t.hi).contains(&(centre + u * w)))
        .map(|(u, centre, c)| (horner(c, u) - (t.f)(centre + u * w)).abs())
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::graph::Op;
    use crate::program::{Instr, sigmoid, softplus};
    use crate::{Function, Graph};

    fn tables_of_programs() -> Vec<Table> {
        let tables = |code: Vec<Instr>| {
            code.into_iter().filter_map(|i| {
                if let Instr::Table(_, t) = i {
                    Some(t)
                } else {
                    None
                }
            })
        };
        tables(sigmoid(18).code)
            .chain(tables(softplus(18).code))
            .collect()
    }

    #[test]
    fn tables_of_the_programs_are_good_on_two_widths_of_every_cell() {
        let tables = tables_of_programs();
        assert_eq!(tables.len(), 2);
        for t in tables {
            assert!(
                fit_error(&t) < 2f64.powi(-18),
                "{}: {}",
                t.name,
                fit_error(&t)
            );
        }
    }

    #[test]
    fn coefficients_stay_small_where_the_range_ends_inside_a_cell() {
        for t in tables_of_programs() {
            assert_eq!(fit(&t).len(), 4);
            assert!(
                fit(&t).iter().flatten().all(|c| c.abs() < 4.0),
                "{:?}",
                fit(&t)
            );
        }
    }

    /// The tables of all functions, and those of softmax.
    fn shipped() -> Vec<Table> {
        let mut tables: Vec<Table> = [
            Function::Logistic,
            Function::Tanh,
            Function::Erf,
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::Mish,
        ]
        .iter()
        .flat_map(|f| f.program().code)
        .filter_map(|i| match i {
            Instr::Table(_, t) => Some(t),
            _ => None,
        })
        .collect();
        for n in [2, 10, 50] {
            let mut g = Graph::new();
            let x = g.input(&[n]);
            g.log_softmax(x, 0).unwrap();
            tables.extend((0..g.len()).filter_map(|k| match g.op(k) {
                Some(Op::Map(Function::Table(t))) => Some(*t),
                _ => None,
            }));
        }
        tables
    }

    #[test]
    fn shipped_tables_are_good_to_less_than_a_unit() {
        let tables = shipped();
        assert_eq!(tables.len(), 19);
        for t in tables {
            let units = fit_error(&t) * 2f64.powi(18);
            assert!(units < 1.0, "{}: {units} units", t.name);
            let most = fit(&t).iter().flatten().fold(0.0f64, |m, c| m.max(c.abs()));
            assert!(most < 128.0, "{}: a coefficient of {most}", t.name);
        }
    }

    /// Requirement R7: another platform or compiler that gives other coefficients fails here.
    #[test]
    fn coefficients_are_the_same_on_every_build() {
        let mut hash = Sha256::new();
        for t in shipped() {
            hash.update(t.name.as_bytes());
            for c in fit(&t).iter().flatten() {
                hash.update(c.to_bits().to_le_bytes());
            }
        }
        let hash: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hash,
            "e216822af9f3157e479da0bb13bca2e3071983414e198b2d1ac110bfa1e69c2f"
        );
    }

    #[test]
    fn polynomials_are_reproduced() {
        let t = Table {
            name: "cubic",
            f: |x| x * x * x - x,
            lo: -2.0,
            hi: 1.0,
            cell: 0,
            log2_cells: 2,
            degree: 3,
            max: 6.0,
        };
        assert!(fit_error(&t) < 1e-13);
        // Guard cell: centre lo, u = x - lo: (u-2)^3 - (u-2) = -6 + 11u - 6u² + u³.
        for (c, want) in fit(&t)[3].iter().zip([-6.0, 11.0, -6.0, 1.0]) {
            assert!((c - want).abs() < 1e-10, "{c} {want}");
        }
    }

    #[test]
    fn the_cheapest_table_meets_its_tolerance() {
        for n in [2u32, 3, 10, 50] {
            let range = (1.0 - 2f64.powi(-6), f64::from(n) + 1.0);
            let t = Table::within("1/x", f64::recip, range, 2.0, 2f64.powi(-18)).unwrap();
            assert!(
                t.hi >= range.1 && t.hi - t.lo <= f64::from((1 << t.log2_cells) - 1) * t.width()
            );
            assert!(fit_error(&t) < 2f64.powi(-18));
        }
        assert!(Table::within("1/x", f64::recip, (1.0, 1e9), 2.0, 2f64.powi(-18)).is_err());
    }
}
