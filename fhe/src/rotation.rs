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
//! Here a table is always the sum of what edges (weights times tables) take a value to one result. What is done for it,
//! all of it without effect on the results:
//! - a table over an interval is shifted by a constant, which goes to the bias, so that the step from its end to minus
//!   its beginning is 0 or 1;
//! - the common factor g of all steps of a value goes into the test polynomial: variance divided by g²;
//! - where all tables of a value are multiples of one (a neuron with one activation), that one is the test polynomial,
//!   and results are multiples of what comes out: variance times the factor squared, less than that of any steps;
//! - a value whose tables are all constant is not rotated.

use crate::program::{Domain, Lookup};

/// The rotation of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Which value of the looked-up node.
    pub(crate) from: usize,
    /// What is added to it first, so that an interval begins at 0.
    pub(crate) shift: i64,
    /// The test polynomial.
    pub(crate) test: Test,
    /// What is read off, by result.
    pub(crate) reads: Vec<Read>,
}

/// A test polynomial, in halves of the torus unit of the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// The same everywhere: g.
    Constant(i64),
    /// Box by box, for boxes 0 to T/2 - 1.
    Table(Vec<i64>),
}

/// What a result gets from a value: Σ factor · (the coefficient where the box begins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Which result.
    pub(crate) to: usize,
    /// (box, factor), boxes ascending: box b < T/2 stands for X^(its first position), b = 0 for X^0.
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
    pub(crate) fn coloured(&self, torus: u64, size: usize) -> f64 {
        let mut places: Vec<(usize, f64)> = self
            .taps
            .iter()
            .map(|&(b, f)| (first_position(b, torus, size), f as f64))
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

/// The rotations of a lookup whose values stand on `torus`, and what its biases become.
pub(crate) fn rotations(lookup: &Lookup, torus: u64) -> (Vec<Rotation>, Vec<i64>) {
    let half = torus as usize / 2;
    let mut bias = lookup.bias.clone();
    let mut edges: Vec<_> = lookup.edges.iter().collect();
    edges.sort_by_key(|edge| (edge.from, edge.to));
    let mut all = Vec::new();
    for of_value in edges.chunk_by(|a, b| a.from == b.from) {
        let from = of_value[0].from;
        let domain = lookup.domains[from];
        let mut steps = Vec::new();
        for group in of_value.chunk_by(|a, b| a.to == b.to) {
            let mut table = vec![0_i64; domain.entries()];
            for edge in group {
                for (sum, &entry) in table.iter_mut().zip(&lookup.tables[edge.table]) {
                    *sum += i64::from(edge.weight) * i64::from(entry);
                }
            }
            if let Domain::Interval { .. } = domain {
                let middle = (table[0] + table[table.len() - 1]).div_euclid(2);
                table.iter_mut().for_each(|entry| *entry -= middle);
                bias[group[0].to] += middle;
            }
            let of_result = steps_of(&table, half);
            if of_result.iter().any(|&d| d != 0) {
                steps.push((group[0].to, of_result));
            }
        }
        let shift = match domain {
            Domain::Interval { low, .. } => -low,
            Domain::Cyclic { .. } => 0,
        };
        if !steps.is_empty() {
            all.push(rotation(from, shift, &steps));
        }
    }
    (all, bias)
}

/// T\[v\] - T\[v-1\] for v = 1 ..= `half`, T continued with its last entry and T\[half\] = -T\[0\].
fn steps_of(table: &[i64], half: usize) -> Vec<i64> {
    let at = |v: usize| match v {
        v if v == half => -table[0],
        v => table[v.min(table.len() - 1)],
    };
    (1..=half).map(|v| at(v) - at(v - 1)).collect()
}

/// The one rotation for tables of these steps, by result.
fn rotation(from: usize, shift: i64, steps: &[(usize, Vec<i64>)]) -> Rotation {
    let factors: Vec<i64> = steps.iter().map(|(_, d)| content(d)).collect();
    let primitive: Vec<i64> = steps[0].1.iter().map(|d| d / factors[0]).collect();
    let multiple =
        |(d, &c): (&(usize, Vec<i64>), &i64)| d.1.iter().zip(&primitive).all(|(&d, &p)| d == c * p);
    let g = factors.iter().fold(0, |g, &c| gcd(g, c));
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
            from,
            shift,
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
        from,
        shift,
        test: Test::Constant(g),
        reads: reads.collect(),
    }
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

    use super::{Rotation, Test, first_position, rotations};
    use crate::program::{Domain, Edge, Lookup};

    /// What comes out for box `b`, in units: by the algebra of the module's documentation, on a torus of `torus`
    /// positions, one a box (N = T/2), where first positions are the boxes themselves.
    fn read(rotation: &Rotation, to: usize, b: usize, torus: usize) -> i64 {
        let half = torus / 2;
        let at = |p: i64| -> i64 {
            // The coefficient of X^p of X^-b·test, negacyclic.
            let p = (p + b as i64).rem_euclid(torus as i64) as usize;
            let (p, sign) = if p < half { (p, 1) } else { (p - half, -1) };
            sign * match &rotation.test {
                Test::Constant(g) => *g,
                Test::Table(t) => t[p],
            }
        };
        let taps = rotation.reads.iter().filter(|read| read.to == to);
        let taps = taps.flat_map(|read| &read.taps);
        let twice: i64 = taps.map(|&(tap, f)| f * at(-(tap as i64))).sum();
        assert_eq!(twice % 2, 0, "whole units");
        twice / 2
    }

    fn tables() -> impl Strategy<Value = (Lookup, u64)> {
        (any::<bool>(), 1..6_i64, 1..7_usize, -3..4_i64).prop_flat_map(
            |(cyclic, slack, entries, low)| {
                let (domain, torus) = if cyclic {
                    (
                        Domain::Cyclic {
                            modulus: 2 * entries as u32,
                        },
                        2 * entries as u64,
                    )
                } else {
                    let high = low + entries as i64 - 1;
                    (
                        Domain::interval(low, high),
                        2 * entries as u64 + 2 * (slack as u64 - 1),
                    )
                };
                let table = prop::collection::vec(-4..=4_i32, entries);
                let tables = prop::collection::vec(table, 3);
                let edge = (
                    0..2_usize,
                    0..3_usize,
                    0..3_usize,
                    prop::sample::select(vec![-2, -1, 1, 3]),
                );
                let edges = prop::collection::vec(edge, 1..8);
                (tables, edges).prop_map(move |(tables, edges)| {
                    let edges = edges.into_iter();
                    let edges = edges.map(|(from, to, table, weight)| Edge {
                        from,
                        to,
                        table,
                        weight,
                    });
                    let lookup = Lookup {
                        node: 0,
                        domains: vec![domain; 2],
                        tables,
                        edges: edges.collect(),
                        bias: vec![5, -6, 0],
                    };
                    (lookup, torus)
                })
            },
        )
    }

    proptest! {
        #[test]
        fn reading_rotations_is_looking_up((lookup, torus) in tables()) {
            let (rotations, bias) = rotations(&lookup, torus);
            let values = |from: usize| match lookup.domains[from] {
                Domain::Interval { low, high, .. } => low..high + 1,
                Domain::Cyclic { modulus } => 0..i64::from(modulus),
            };
            for a in values(0) {
                for b in values(1) {
                    let values = [a, b];
                    let mut wanted = lookup.bias.clone();
                    for e in &lookup.edges {
                        let said = lookup.domains[e.from].look_up(&lookup.tables[e.table], values[e.from]);
                        wanted[e.to] += i64::from(e.weight) * said.unwrap();
                    }
                    let mut found = bias.clone();
                    for r in &rotations {
                        let b = (values[r.from] + r.shift) as usize;
                        for (to, sum) in found.iter_mut().enumerate() {
                            *sum += read(r, to, b, torus as usize);
                        }
                    }
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }

    #[test]
    fn multiples_of_one_table_are_read_at_one_place() {
        let edge = |to, weight| Edge {
            from: 0,
            to,
            table: 0,
            weight,
        };
        let lookup = Lookup {
            node: 0,
            domains: vec![Domain::interval(-2, 2)],
            tables: vec![vec![0, 0, 0, 1, 2]],
            edges: vec![edge(0, 4), edge(1, -6)],
            bias: vec![0, 0],
        };
        let (rotations, _) = rotations(&lookup, 10);
        assert_eq!(rotations.len(), 1);
        let factors: Vec<_> = rotations[0].reads.iter().map(|r| r.taps.clone()).collect();
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
