//! Which rows of a batch an entry depends on: an engine that computes with sets of rows instead of numbers.
//!
//! Whoever puts the questions of several clients into one batch must know that no answer depends on another's question. What
//! the engine finds holds for all weights and inputs, since every product and function is taken to depend on all it reads.

use std::ops::{Add, AddAssign, Div, Mul, Sub};

use ndarray::{ArrayD, Axis, IxDyn};
use num_traits::{One, Zero};

use crate::{Engine, Error, Graph, Layout, Product, Program, Result, run};

/// What an entry depends on: no row (a constant), one row, or several, which are not told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows(u32);

impl Rows {
    const SEVERAL: Self = Self(u32::MAX);

    /// This row alone.
    fn one_row(row: usize) -> Self {
        u32::try_from(row + 1).map_or(Self::SEVERAL, Self)
    }

    /// What depends on both.
    fn union(self, o: Self) -> Self {
        match (self.0, o.0) {
            (0, _) => o,
            (_, 0) => self,
            (a, b) if a == b => self,
            _ => Self::SEVERAL,
        }
    }
}

macro_rules! union {
    ($($trait:ident $method:ident),*) => {
        $(impl $trait for Rows {
            type Output = Self;
            fn $method(self, o: Self) -> Self {
                self.union(o)
            }
        })*
    };
}
union!(Add add, Sub sub, Mul mul, Div div);

impl AddAssign for Rows {
    fn add_assign(&mut self, o: Self) {
        *self = self.union(o);
    }
}

impl Zero for Rows {
    fn zero() -> Self {
        Self(0)
    }
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl One for Rows {
    fn one() -> Self {
        Self(0)
    }
}

/// The engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance;

impl Provenance {
    /// The union of values of one shape.
    fn union(xs: &[&ArrayD<Rows>]) -> Result<ArrayD<Rows>> {
        let mut sum = xs.first().map(|&x| x.clone()).unwrap_or_default();
        for x in xs.iter().skip(1) {
            if x.shape() != sum.shape() {
                return Err(Error::Shape {
                    op: "union",
                    left: sum.shape().to_vec(),
                    right: x.shape().to_vec(),
                });
            }
            sum += *x;
        }
        Ok(sum)
    }
}

impl Engine for Provenance {
    type Value = ArrayD<Rows>;

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Self::Value> {
        Ok(x.mapv(|_| Rows(0)))
    }

    fn shape(&self, x: &Self::Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Self::Value) -> Result<Self::Value> {
        layout.apply(x)
    }

    fn concat(&mut self, axis: usize, xs: &[&Self::Value]) -> Result<Self::Value> {
        let views: Vec<_> = xs.iter().map(|x| x.view()).collect();
        ndarray::concatenate(Axis(axis), &views).map_err(|e| Error::Invalid(format!("concat: {e}")))
    }

    fn linear(&mut self, terms: &[(i64, &Self::Value)], _: f64) -> Result<Self::Value> {
        Self::union(&terms.iter().map(|&(_, x)| x).collect::<Vec<_>>())
    }

    fn products(&mut self, terms: &[Product<'_, Self::Value>], _: f64) -> Result<Self::Value> {
        let product = |t: &Product<'_, Self::Value>| {
            t.f.apply(t.x, t.y).ok_or_else(|| Error::Shape {
                op: t.f.name(),
                left: t.x.shape().to_vec(),
                right: t.y.shape().to_vec(),
            })
        };
        let products = terms.iter().map(product).collect::<Result<Vec<_>>>()?;
        Self::union(&products.iter().collect::<Vec<_>>())
    }

    fn map(&mut self, program: &Program, inputs: &[&Self::Value]) -> Result<Vec<Self::Value>> {
        let all = Self::union(inputs)?;
        Ok(vec![all; program.outputs.len()])
    }
}

/// Whether no row of any output depends on another row of an input, for a graph of `rows` rows: `counts_rows` says of every
/// input of the graph whether its first axis counts them (others belong to the model). The first axis of every output must.
/// Graphs of other numbers of rows may mix them: each is to be asked about.
///
/// # Errors
/// The graph does not run on inputs of its own shapes.
pub fn rows_are_apart(graph: &Graph, counts_rows: &[bool], rows: usize) -> Result<bool> {
    let inputs: Vec<ArrayD<Rows>> = graph
        .input_shapes()
        .iter()
        .zip(counts_rows)
        .map(|(shape, &counts)| {
            ArrayD::from_shape_fn(IxDyn(shape), |at| match (counts, shape.first()) {
                (true, Some(&n)) if n == rows => Rows::one_row(at[0]),
                (true, _) => Rows::SEVERAL,
                (false, _) => Rows::default(),
            })
        })
        .collect();
    let outputs = run(graph, &mut Provenance, &inputs)?;
    let own = |row: usize, entry: &Rows| entry.is_zero() || *entry == Rows::one_row(row);
    Ok(outputs.iter().all(|y| {
        y.shape().first() == Some(&rows) && y.indexed_iter().all(|(at, entry)| own(at[0], entry))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edge;

    fn apart(build: impl Fn(&mut Graph, Edge, Edge) -> Result<Edge>) -> bool {
        let mut g = Graph::new();
        let (x, w) = (g.input(&[2, 3]), g.input(&[3, 2]));
        let y = build(&mut g, x, w).unwrap();
        g.output(y);
        rows_are_apart(&g, &[true, false], 2).unwrap()
    }

    /// Found at the sizes where it happens: four rows in two groups are mixed, two are not.
    #[test]
    fn a_fixed_number_of_groups_mixes_larger_batches() {
        let apart = |rows: usize| {
            let mut g = Graph::new();
            let x = g.input(&[rows, 4]);
            let groups = g.reshape(x, &[2, 2 * rows]).unwrap();
            let p = g.softmax(groups, 1).unwrap();
            let y = g.reshape(p, &[rows, 4]).unwrap();
            g.output(y);
            rows_are_apart(&g, &[true], rows).unwrap()
        };
        assert!(apart(2));
        assert!(!apart(4) && !apart(8) && !apart(16));
    }

    #[test]
    fn what_works_row_by_row_is_found_apart() {
        assert!(apart(|g, x, w| g.matmul(x, w)));
        assert!(apart(|g, x, _| g.softmax(x, 1)));
        assert!(apart(|g, x, _| {
            let half = g.slice(x, 1, 0..1)?;
            g.mul(x, half)
        }));
    }

    #[test]
    fn whatever_mixes_rows_is_found() {
        assert!(!apart(|g, x, _| g.mean(x, 0)));
        assert!(!apart(|g, x, _| {
            let mean = g.mean(x, 0)?;
            g.sub(x, mean)
        }));
        assert!(!apart(|g, x, _| g.gather(x, 0, &[1, 0])));
        assert!(!apart(|g, x, _| {
            let t = g.transpose(x)?;
            g.matmul(x, t)
        }));
        assert!(!apart(|g, x, w| {
            let wx = g.matmul(w, x)?;
            g.slice(wx, 0, 0..2)
        }));
    }
}
