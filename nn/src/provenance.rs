//! Which rows of a batch an entry depends on: an engine that computes with sets of rows instead of numbers.
//!
//! Whoever puts the questions of several clients into one batch must know that no answer depends on another's question. What
//! the engine finds holds for all weights and inputs, since every product and function is taken to depend on all it reads.

use std::ops::{Add, AddAssign, Div, Mul, Sub};

use ndarray::{ArrayD, Axis, IxDyn};
use num_traits::{One, Zero};
use tacit_mpc::Bilinear;

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
            let y = quick(t.f, t.x, t.y).or_else(|| t.f.apply(t.x, t.y));
            y.ok_or_else(|| Error::Shape {
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

/// What a product depends on without multiplying it out: exactly for matrix products; for convolutions all that an image may
/// depend on, if that is one row. `None` where only multiplying tells.
fn quick(f: Bilinear, x: &ArrayD<Rows>, y: &ArrayD<Rows>) -> Option<ArrayD<Rows>> {
    let shape = f.output_shape(x.shape(), y.shape())?;
    let (xs, ys) = (x.as_standard_layout(), y.as_standard_layout());
    let (xs, ys) = (xs.as_slice()?, ys.as_slice()?);
    let all = |entries: &[Rows]| entries.iter().fold(Rows(0), |sum, &r| sum.union(r));
    let mut out: Vec<Rows> = Vec::with_capacity(shape.iter().product());
    match f {
        Bilinear::MatMul => {
            let [.., m, k] = *x.shape() else { return None };
            let n = *shape.last()?;
            if m == 0 || k == 0 || n == 0 {
                return None;
            }
            for (a, b) in xs.chunks(m * k).zip(ys.chunks(k * n)) {
                let mut columns = vec![Rows(0); n];
                for row in b.chunks(n) {
                    columns.iter_mut().zip(row).for_each(|(c, &r)| *c += r);
                }
                for row in a.chunks(k).map(all) {
                    out.extend(columns.iter().map(|&c| row.union(c)));
                }
            }
        }
        Bilinear::Conv(_) | Bilinear::ConvInput(_) => {
            let (images, kernel) = (*x.shape().first()?, all(ys));
            if images == 0 || xs.is_empty() || shape.contains(&0) {
                return None;
            }
            let each: usize = shape.iter().skip(1).product();
            for image in xs.chunks(xs.len() / images) {
                let rows = all(image).union(kernel);
                if rows == Rows::SEVERAL {
                    return None; // coarse: perhaps no single entry sees several
                }
                out.extend(std::iter::repeat_n(rows, each));
            }
        }
        Bilinear::Mul | Bilinear::ConvWeights(_) => return None,
    }
    ArrayD::from_shape_vec(IxDyn(&shape), out).ok()
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

    /// The rows of the products by the definition, against the short way.
    #[test]
    fn products_need_not_be_multiplied_out() {
        let random = |shape: &[usize], seed: usize| {
            let mut state = seed;
            ArrayD::from_shape_fn(IxDyn(shape), |_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(99);
                Rows([0, 0, 0, 1, 1, 2, u32::MAX][(state >> 33) % 7])
            })
        };
        for seed in 0..200 {
            let f = Bilinear::MatMul;
            let (x, y) = (random(&[2, 3, 2], seed), random(&[2, 2, 4], seed + 1000));
            assert_eq!(quick(f, &x, &y), f.apply(&x, &y));
        }
        // Each image from one row, and the edge, where an entry may depend on nothing at all.
        let c = tacit_mpc::Conv::new(&[4, 4], &[3, 3]);
        for f in [Bilinear::Conv(c), Bilinear::ConvInput(c)] {
            let size = if f == Bilinear::Conv(c) { 4 } else { 2 };
            let x = ArrayD::from_shape_fn(IxDyn(&[3, 2, size, size]), |at| Rows::one_row(at[0]));
            let kernel = ArrayD::from_elem(IxDyn(&[2, 2, 3, 3]), Rows(0));
            assert_eq!(quick(f, &x, &kernel), f.apply(&x, &kernel));
            // An image of several rows is looked at entry by entry.
            let mixed = ArrayD::from_shape_fn(IxDyn(x.shape()), |at| Rows::one_row(at[2]));
            assert_eq!(quick(f, &mixed, &kernel), None);
        }
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
