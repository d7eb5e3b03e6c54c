//! What each looked-up value is rotated with, and what is read off afterwards.
//!
//! A bootstrap of a value v turns a test polynomial by v and hands out its constant coefficient, so every table needs a
//! rotation of its own. *Multi-value bootstrapping* (Carpov, Izabachène, Mollimard, "New techniques for multi-value
//! input homomorphic evaluation and applications", CT-RSA 2019) rotates what all tables have in common instead: as
//! polynomials modulo X^N + 1,
//!
//! (1 - X)·Σ X^p = 2, so  T(X) = ½·((1 - X)·T(X))·Σ X^p:
//!
//! rotate ½·Σ X^p once, and multiply by (1 - X)·T(X) afterwards, whose coefficients are the *steps* of the table. It has
//! as many as the table has entries. What that does to the noise: [`Read::white`], [`Read::coloured`].
//!
//! What is done for it, all of it without effect on the results (tables count in halves of a unit and are antiperiodic,
//! [`Looked`]):
//! - the common factor g of all steps of a value goes into the test polynomial: variance divided by g²;
//! - where all tables of a value are multiples of one (a neuron with one activation), that one is the test polynomial,
//!   and results are multiples of what comes out: variance times the factor squared, less than that of any steps.

use crate::lower::Looked;

/// How one value is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// The test polynomial.
    pub(crate) test: Test,
    /// What is read off, by result.
    pub(crate) reads: Vec<Read>,
}

/// A test polynomial, in quarters of a unit of the torus on which tables count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// The same everywhere: g.
    Constant(i64),
    /// Box by box, for the lower half of them.
    Table(Vec<i64>),
}

/// What a result gets from a value: Σ factor · (the coefficient where the box begins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Which result.
    pub(crate) to: usize,
    /// (box, factor), boxes ascending: box b <= boxes/2 stands for X^(its first position), b = 0 for X^0.
    pub(crate) taps: Vec<(usize, i64)>,
}

impl Read {
    /// What the variance of noise is multiplied by that is independent from coefficient to coefficient: Σ f².
    pub(crate) fn white(&self) -> f64 {
        self.taps.iter().map(|&(_, f)| (f as f64).powi(2)).sum()
    }

    /// What the variance of errors of the *mask* is multiplied by, relative to that of one coefficient.
    ///
    /// Such errors e reach a coefficient as Σ_q e_q·(±s_(p-q)), and the bits s of the key are 0 or 1: their mean ½ is
    /// common to all coefficients. So E\[s\]² = Var s = ¼, and Σ_i f_i·E_(p_i) has, per coefficient of e,
    ///
    /// ½·Σ f_i² + ½/N·Σ_q (Σ_i f_i·sgn(p_i - q))²,  sgn 1 from 0 on and -1 below:
    ///
    /// steps of one sign, as those of a table that rises, add up instead of cancelling. Later rotations of the
    /// accumulator keep this, for they turn e with it.
    pub(crate) fn coloured(&self, boxes: u64, size: usize) -> f64 {
        let mut places: Vec<(usize, f64)> = self
            .taps
            .iter()
            .map(|&(b, f)| (first_position(b, boxes, size), f as f64))
            .collect();
        places.sort_by_key(|place| place.0);
        // The inner sum is constant between two places.
        let mut inner: f64 = places.iter().map(|place| place.1).sum();
        let (mut sum, mut from) = (0.0, 0);
        for &(place, f) in &places {
            sum += inner * inner * (place + 1 - from) as f64;
            from = place + 1;
            inner -= 2.0 * f;
        }
        sum += inner * inner * (size - from) as f64;
        0.5 * self.white() + 0.5 * sum / size as f64
    }
}

/// The one rotation that says all tables.
pub(crate) fn rotation(looked: &Looked) -> Rotation {
    let steps: Vec<(usize, Vec<i64>)> = looked
        .tables
        .iter()
        .map(|(to, table)| (*to, steps_of(table)))
        .filter(|(_, steps)| steps.iter().any(|&d| d != 0))
        .collect();
    let factors: Vec<i64> = steps.iter().map(|(_, d)| content(d)).collect();
    let g = factors.iter().fold(0, |g, &c| gcd(g, c));
    let Some(first) = steps.first() else {
        let (test, reads) = (Test::Constant(0), Vec::new());
        return Rotation { test, reads };
    };
    let primitive: Vec<i64> = first.1.iter().map(|d| d / factors[0]).collect();
    let multiple =
        |(d, &c): (&(usize, Vec<i64>), &i64)| d.1.iter().zip(&primitive).all(|(&d, &p)| d == c * p);
    if steps.iter().zip(&factors).all(multiple) {
        // T[0] = -½ Σ steps, for the last of them leads to -T[0].
        let mut entry = -primitive.iter().sum::<i64>() * g;
        let mut table = Vec::with_capacity(primitive.len());
        for step in &primitive {
            table.push(entry);
            entry += 2 * g * step;
        }
        let reads = steps.iter().zip(&factors);
        let reads = reads.map(|((to, _), c)| Read {
            to: *to,
            taps: vec![(0, c / g)],
        });
        return Rotation {
            test: Test::Table(table),
            reads: reads.collect(),
        };
    }
    let reads = steps.iter().map(|(to, d)| {
        let taps = (1..).zip(d).filter(|(_, d)| **d != 0);
        Read {
            to: *to,
            taps: taps.map(|(b, d)| (b, d / g)).collect(),
        }
    });
    Rotation {
        test: Test::Constant(g),
        reads: reads.collect(),
    }
}

/// T\[b\] - T\[b-1\] for b = 1 ..= boxes/2, where T\[boxes/2\] = -T\[0\].
fn steps_of(table: &[i64]) -> Vec<i64> {
    let next = table[1..].iter().copied().chain([-table[0]]);
    table.iter().zip(next).map(|(at, next)| next - at).collect()
}

/// The greatest common divisor, with the sign of the first that is not zero: so multiples by -1 have one primitive.
fn content(numbers: &[i64]) -> i64 {
    let sign = numbers.iter().find(|d| **d != 0).map_or(1, |d| d.signum());
    sign * numbers.iter().fold(0, |g, &d| gcd(g, d))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// The first position of box b: the first p whose centre p + ½ lies nearer to box b's middle b·2N/T than to any before,
/// ⌈(2b - 1)·N/T - ½⌉; 0 for b = 0.
pub(crate) fn first_position(b: usize, torus: u64, polynomial_size: usize) -> usize {
    if b == 0 {
        return 0;
    }
    let (b, t, n) = (b as u128, u128::from(torus), polynomial_size as u128);
    let twice = 2 * (2 * b - 1) * n;
    (twice.saturating_sub(t)).div_ceil(2 * t) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Rotation, Test, first_position, rotation};
    use crate::lower::{Looked, Row};

    /// What comes out for box `b`, in halves: by the algebra of the module's documentation, where every box is one
    /// position, and first positions are the boxes themselves.
    fn read(rotation: &Rotation, to: usize, b: usize, boxes: usize) -> i64 {
        let half = boxes / 2;
        let at = |p: i64| -> i64 {
            // The coefficient of X^p of X^-b·test, negacyclic.
            let p = (p + b as i64).rem_euclid(boxes as i64) as usize;
            let (p, sign) = if p < half { (p, 1) } else { (p - half, -1) };
            sign * match &rotation.test {
                Test::Constant(g) => *g,
                Test::Table(t) => t[p],
            }
        };
        let taps = rotation.reads.iter().filter(|read| read.to == to);
        let taps = taps.flat_map(|read| &read.taps);
        let quarters: i64 = taps.map(|&(tap, f)| f * at(-(tap as i64))).sum();
        assert_eq!(quarters % 2, 0, "whole halves");
        quarters / 2
    }

    fn looked(tables: Vec<Vec<i64>>) -> Looked {
        Looked {
            input: Row {
                bias: 0,
                terms: Vec::new(),
            },
            torus: 2 * tables[0].len() as u64,
            boxes: 2 * tables[0].len() as u64,
            tolerance: None,
            out: 2,
            tables: tables.into_iter().enumerate().collect(),
        }
    }

    proptest! {
        #[test]
        fn reading_a_rotation_is_looking_up(
            tables in (1..7_usize).prop_flat_map(|half| {
                prop::collection::vec(prop::collection::vec(-5..=5_i64, half), 1..4)
            }),
            times in 1..4_i64,
        ) {
            let tables: Vec<Vec<i64>> =
                tables.into_iter().map(|t| t.into_iter().map(|x| times * x).collect()).collect();
            let rotation = rotation(&looked(tables.clone()));
            for (to, table) in tables.iter().enumerate() {
                let half = table.len();
                for b in 0..2 * half {
                    let wanted = if b < half { table[b] } else { -table[b - half] };
                    prop_assert_eq!(read(&rotation, to, b, 2 * half), wanted);
                }
            }
        }
    }

    #[test]
    fn multiples_of_one_table_are_read_at_one_place() {
        let table = [-4_i64, -4, -4, 0, 4];
        let times = |f: i64| table.iter().map(|x| f * x).collect();
        let rotation = rotation(&looked(vec![times(2), times(-3)]));
        let factors: Vec<_> = rotation.reads.iter().map(|r| r.taps.clone()).collect();
        assert_eq!(factors, [[(0, 2)], [(0, -3)]]);
    }

    #[test]
    fn boxes_part_the_half_torus_where_their_middles_are_equally_far() {
        for (torus, n) in [(32, 2048), (30, 2048), (6, 512), (254, 512), (512, 512)] {
            for b in 1..=torus as usize / 2 {
                let p = first_position(b, torus, n) as f64;
                let end = (2.0 * b as f64 - 1.0) * n as f64 / torus as f64;
                assert!(p + 0.5 >= end && p - 0.5 < end, "{torus} {n} {b}");
            }
        }
    }
}
