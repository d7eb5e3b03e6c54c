//! Reductions and orders along axes. A reduced axis stays with length 1.

use ndarray::ArrayD;

use crate::{Edge, Error, Function, Graph, Result};

/// The winners of a tournament are put to minus this before the next round.
const OUT: f64 = (1u64 << 40) as f64;

impl Graph {
    /// The sum over some axes.
    pub fn sum_over(&mut self, x: Edge, axes: &[usize]) -> Result<Edge> {
        axes.iter().try_fold(x, |x, &axis| self.sum(x, axis))
    }

    /// The mean over some axes, accurate to two units of the last place.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is nothing to take the mean of.
    pub fn mean_over(&mut self, x: Edge, axes: &[usize]) -> Result<Edge> {
        let mut n = 1;
        for &axis in axes {
            n *= self.length(x, axis)?;
        }
        let sum = self.sum_over(x, axes)?;
        self.divide(sum, n)
    }

    /// The mean square of the deviations from the mean over some axes.
    ///
    /// # Errors
    /// As for [`Graph::mean_over`].
    pub fn variance_over(&mut self, x: Edge, axes: &[usize]) -> Result<Edge> {
        let mean = self.mean_over(x, axes)?;
        let deviation = self.sub(x, mean)?;
        let square = self.mul(deviation, deviation)?;
        self.mean_over(square, axes)
    }

    /// The maximum over some axes: a tournament. Differences of entries below 2^44.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is nothing to compare.
    pub fn max_over(&mut self, x: Edge, axes: &[usize]) -> Result<Edge> {
        let mut x = x;
        for &axis in axes {
            while self.length(x, axis)? > 1 {
                let (left, right, rest) = self.pairs(x, axis)?;
                let winners = self.map(Function::Max, &[right, left])?;
                x = self.joined(axis, winners, rest)?;
            }
        }
        Ok(x)
    }

    /// The minimum over some axes.
    ///
    /// # Errors
    /// As for [`Graph::max_over`].
    pub fn min_over(&mut self, x: Edge, axes: &[usize]) -> Result<Edge> {
        let minus = self.neg(x)?;
        let max = self.max_over(minus, axes)?;
        self.neg(max)
    }

    /// The index of the greatest entry of an axis, as a number; of equals the first, or the last.
    ///
    /// # Errors
    /// As for [`Graph::max_over`].
    pub fn argmax(&mut self, x: Edge, axis: usize, last: bool) -> Result<Edge> {
        Ok(self.winner(x, axis, last)?.1)
    }

    /// The index of the least entry of an axis.
    ///
    /// # Errors
    /// As for [`Graph::max_over`].
    pub fn argmin(&mut self, x: Edge, axis: usize, last: bool) -> Result<Edge> {
        let minus = self.neg(x)?;
        self.argmax(minus, axis, last)
    }

    /// 1 at the first greatest entry of an axis, else 0.
    ///
    /// # Errors
    /// As for [`Graph::max_over`].
    pub fn hardmax(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        let index = self.argmax(x, axis, false)?;
        let positions = self.positions(x, axis)?;
        self.equal(positions, index)
    }

    /// The k greatest entries of an axis in descending order and their indices, or the k least in ascending order; of
    /// equals the first comes first. |x| < 2^40, k tournaments.
    ///
    /// # Errors
    /// [`Error::Invalid`] where k is 0 or greater than the axis is long.
    pub fn top_k(&mut self, x: Edge, k: usize, axis: usize, largest: bool) -> Result<(Edge, Edge)> {
        let n = self.length(x, axis)?;
        if k == 0 || k > n {
            return Err(Error::Invalid(format!(
                "the {k} greatest of {n} entries: choose 1 to {n}"
            )));
        }
        let mut left = if largest { x } else { self.neg(x)? };
        let positions = self.positions(x, axis)?;
        let (mut values, mut indices) = (Vec::new(), Vec::new());
        for round in 1..=k {
            let (value, index) = self.winner(left, axis, false)?;
            values.push(value);
            indices.push(index);
            if round < k {
                let won = self.equal(positions, index)?;
                let won = Edge { port: 1, ..won };
                let drop = self.linear(&[(1, left)], OUT)?;
                let drop = self.map(Function::Mask, &[drop, won])?;
                left = self.sub(left, drop)?;
            }
        }
        let values = self.concat(axis, &values)?;
        let values = if largest { values } else { self.neg(values)? };
        Ok((values, self.concat(axis, &indices)?))
    }

    /// The greatest entry of an axis and its index.
    fn winner(&mut self, x: Edge, axis: usize, last: bool) -> Result<(Edge, Edge)> {
        let (mut x, mut index) = (x, self.positions(x, axis)?);
        while self.length(x, axis)? > 1 {
            let (left, right, rest) = self.pairs(x, axis)?;
            let (i, j, odd) = self.pairs(index, axis)?;
            // At a tie the second operand wins.
            let operands = if last {
                [left, right, i, j]
            } else {
                [right, left, j, i]
            };
            let winners = self.map(Function::MaxIndex, &operands)?;
            let indices = Edge { port: 1, ..winners };
            x = self.joined(axis, winners, rest)?;
            index = self.joined(axis, indices, odd)?;
        }
        Ok((x, index))
    }

    /// The entries at even positions that have a right neighbour, those neighbours, and the entry that is left over.
    /// Neighbours, so that winners stay in the order of their indices.
    fn pairs(&mut self, x: Edge, axis: usize) -> Result<(Edge, Edge, Option<Edge>)> {
        let n = self.length(x, axis)?;
        let at = |start: usize| (start..n / 2 * 2).step_by(2).collect::<Vec<_>>();
        let left = self.gather(x, axis, &at(0))?;
        let right = self.gather(x, axis, &at(1))?;
        let rest = if n % 2 == 1 {
            Some(self.slice(x, axis, n - 1..n)?)
        } else {
            None
        };
        Ok((left, right, rest))
    }

    fn joined(&mut self, axis: usize, winners: Edge, rest: Option<Edge>) -> Result<Edge> {
        match rest {
            Some(rest) => self.concat(axis, &[winners, rest]),
            None => Ok(winners),
        }
    }

    /// 0, 1, 2, … along an axis, in the shape of x.
    fn positions(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        self.length(x, axis)?;
        let shape = self.shape(x)?.to_vec();
        Ok(self.public(ArrayD::from_shape_fn(shape, |at| at[axis] as f64)))
    }

    /// The length of an axis that has entries.
    pub(super) fn length(&self, x: Edge, axis: usize) -> Result<usize> {
        let shape = self.shape(x)?;
        match shape.get(axis) {
            Some(&n) if n > 0 => Ok(n),
            _ => Err(Error::Invalid(format!(
                "a tensor of shape {shape:?} has no entries along axis {axis}"
            ))),
        }
    }
}
