//! Functions of one number, built up from those of a graph: what a table will say.

use std::collections::{BTreeSet, HashMap};

use ndarray::Array1;
use tacit_nn::{Clear, Engine, Error, Function};

/// A function of one number, by its index in [`Curves`].
pub(super) type Curve = usize;

/// How a function is made of others before it.
#[derive(Clone, Debug)]
enum Made {
    /// slope · x + offset.
    Affine(f64, f64),
    /// Σ factor · f(x) + offset.
    Sum(Vec<(f64, Curve)>, f64),
    /// f(x) · g(x).
    Product(Curve, Curve),
    /// An output of a function of the graph.
    Map(Box<Function>, usize, Vec<Curve>),
}

/// A sum of a sum of more summands than these is not written out.
const FLAT: usize = 8;

/// What tells functions apart, with numbers by their bits; a function of the graph by the node that applies it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Affine(u64, u64),
    Sum(Vec<(u64, Curve)>, u64),
    Product(Curve, Curve),
    Map(usize, usize, Vec<Curve>),
}

/// All functions of a network, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Curves {
    made: Vec<Made>,
    known: HashMap<Key, Curve>,
}

impl Curves {
    fn intern(&mut self, key: Key, made: Made) -> Curve {
        let next = self.made.len();
        let curve = *self.known.entry(key).or_insert(next);
        if curve == next {
            self.made.push(made);
        }
        curve
    }

    /// slope · x + offset.
    pub(super) fn affine(&mut self, slope: f64, offset: f64) -> Curve {
        let key = Key::Affine(slope.to_bits(), offset.to_bits());
        self.intern(key, Made::Affine(slope, offset))
    }

    /// Slope and offset, if it is affine.
    pub(super) fn as_affine(&self, curve: Curve) -> Option<(f64, f64)> {
        match self.made[curve] {
            Made::Affine(slope, offset) => Some((slope, offset)),
            _ => None,
        }
    }

    /// Factor, function and offset, if it is another function scaled and moved.
    pub(super) fn peeled(&self, curve: Curve) -> (f64, Curve, f64) {
        match &self.made[curve] {
            Made::Sum(terms, offset) if terms.len() == 1 => (terms[0].0, terms[0].1, *offset),
            _ => (1.0, curve, 0.0),
        }
    }

    /// Σ factor · f + offset.
    pub(super) fn sum(&mut self, terms: &[(f64, Curve)], offset: f64) -> Curve {
        let (mut slope, mut offset) = (0.0, offset);
        let mut rest: Vec<(f64, Curve)> = Vec::new();
        for &(factor, curve) in terms {
            let (inner, moved) = match &self.made[curve] {
                Made::Sum(terms, moved) if terms.len() <= FLAT => (terms.clone(), *moved),
                _ => (vec![(1.0, curve)], 0.0),
            };
            offset += factor * moved;
            for (scale, inner) in inner {
                let factor = factor * scale;
                if let Some((a, b)) = self.as_affine(inner) {
                    slope += factor * a;
                    offset += factor * b;
                } else if let Some(same) = rest.iter_mut().find(|(_, known)| *known == inner) {
                    same.0 += factor;
                } else {
                    rest.push((factor, inner));
                }
            }
        }
        rest.retain(|&(factor, _)| factor != 0.0);
        if rest.is_empty() {
            return self.affine(slope, offset);
        }
        if slope != 0.0 {
            let line = self.affine(1.0, 0.0);
            rest.push((slope, line));
        }
        if let ([(1.0, curve)], 0.0) = (&rest[..], offset) {
            return *curve;
        }
        let bits = rest.iter().map(|&(f, c)| (f.to_bits(), c)).collect();
        self.intern(Key::Sum(bits, offset.to_bits()), Made::Sum(rest, offset))
    }

    /// f · g.
    pub(super) fn product(&mut self, f: Curve, g: Curve) -> Curve {
        let (f, g) = (f.min(g), f.max(g));
        self.intern(Key::Product(f, g), Made::Product(f, g))
    }

    /// An output of the function that a node of the graph applies.
    pub(super) fn map(
        &mut self,
        node: usize,
        function: &Function,
        port: usize,
        operands: Vec<Curve>,
    ) -> Curve {
        let key = Key::Map(node, port, operands.clone());
        self.intern(key, Made::Map(Box::new(*function), port, operands))
    }

    /// max(f, 0), whatever node it is for.
    pub(super) fn relu(&mut self, f: Curve) -> Curve {
        self.map(usize::MAX, &Function::Relu, 0, vec![f])
    }

    /// A constant function.
    pub(super) fn constant(&mut self, value: f64) -> Curve {
        self.affine(0.0, value)
    }

    /// What it says at all of these numbers.
    ///
    /// # Errors
    /// What a function of the graph reports.
    pub(super) fn at(&self, curve: Curve, x: &[f64]) -> Result<Vec<f64>, Error> {
        // Those that it is made of, in the order in which they were made: chains can be long, so nothing recurses.
        let (mut needed, mut open) = (BTreeSet::new(), vec![curve]);
        while let Some(curve) = open.pop() {
            if needed.insert(curve) {
                match &self.made[curve] {
                    Made::Affine(..) => {}
                    Made::Sum(terms, _) => open.extend(terms.iter().map(|&(_, f)| f)),
                    Made::Product(f, g) => open.extend([f, g]),
                    Made::Map(_, _, operands) => open.extend(operands),
                }
            }
        }
        let mut said: HashMap<Curve, Vec<f64>> = HashMap::new();
        for curve in needed {
            let y = self.step(curve, x, &said)?;
            said.insert(curve, y);
        }
        Ok(said.remove(&curve).unwrap_or_default())
    }

    /// One function, from what those before it say.
    fn step(
        &self,
        curve: Curve,
        x: &[f64],
        said: &HashMap<Curve, Vec<f64>>,
    ) -> Result<Vec<f64>, Error> {
        Ok(match &self.made[curve] {
            Made::Affine(slope, offset) => x.iter().map(|x| slope * x + offset).collect(),
            Made::Sum(terms, offset) => {
                let mut sum = vec![*offset; x.len()];
                for (factor, curve) in terms {
                    sum.iter_mut()
                        .zip(&said[curve])
                        .for_each(|(s, y)| *s += factor * y);
                }
                sum
            }
            Made::Product(f, g) => said[f].iter().zip(&said[g]).map(|(f, g)| f * g).collect(),
            Made::Map(function, port, operands) => {
                let operands: Vec<_> = operands
                    .iter()
                    .map(|f| Array1::from(said[f].clone()).into_dyn())
                    .collect();
                let operands: Vec<_> = operands.iter().collect();
                let mut outputs = Clear.map(&function.program(), &operands)?;
                outputs.swap_remove(*port).into_iter().collect()
            }
        })
    }

    /// Whether it never falls: looked at on a grid that is fine about 0 and reaches far.
    pub(super) fn never_falls(&self, curve: Curve) -> Result<bool, Error> {
        let half = (0..400).map(|k| 1e-3 * 1.05_f64.powi(k));
        let mut grid: Vec<f64> = half
            .clone()
            .rev()
            .map(|x| -x)
            .chain([0.0])
            .chain(half)
            .collect();
        grid.retain(|x| x.abs() < 1e4);
        let y = self.at(curve, &grid)?;
        Ok(y.iter().all(|y| y.is_finite()) && y.windows(2).all(|w| w[0] <= w[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_built_up_and_shared() {
        let mut curves = Curves::default();
        let x = curves.affine(1.0, 0.0);
        let relu = curves.map(7, &Function::Relu, 0, vec![x]);
        assert_eq!(relu, curves.map(7, &Function::Relu, 0, vec![x]));
        // 2·(3·relu(x) + 1) + x - 2 = 6·relu(x) + x.
        let inner = curves.sum(&[(3.0, relu)], 1.0);
        let outer = curves.sum(&[(2.0, inner), (1.0, x)], -2.0);
        assert_eq!(curves.at(outer, &[-2.0, 0.5]).unwrap(), [-2.0, 3.5]);
        assert_eq!(curves.peeled(inner), (3.0, relu, 1.0));
        // A sum that cancels is a line again.
        let line = curves.sum(&[(1.0, outer), (-2.0, inner)], 0.0);
        assert_eq!(curves.as_affine(line), Some((1.0, -2.0)));
        let silu = curves.map(8, &Function::Logistic, 0, vec![x]);
        let silu = curves.product(x, silu);
        let y = curves.at(silu, &[-1.0, 0.0, 3.0]).unwrap();
        for (x, y) in [-1.0_f64, 0.0, 3.0].iter().zip(y) {
            assert!((y - x / (1.0 + (-x).exp())).abs() < 1e-12);
        }
        assert!(curves.never_falls(relu).unwrap());
        assert!(!curves.never_falls(silu).unwrap());
    }
}
