//! Functions written once over the primitives: what every engine computes for them follows from these graphs.

use crate::{Edge, Error, Graph, Result, graph::Rule};

/// Newton steps that bring any v·y₀² in [2^-14, 1] to single-precision accuracy: 12 growing steps of factor 3/2, then five
/// that square the error.
const NEWTON_STEPS: usize = 17;

impl Graph {
    /// The cross-entropy of each row of `logits` \[rows, classes\] against its row of `onehot`; shape \[rows, 1\].
    ///
    /// Its derivative by the logits is given in closed form, p - onehot; none flows to `onehot`.
    ///
    /// # Errors
    /// As for [`Graph::softmax`], and shapes that differ.
    pub fn softmax_cross_entropy(&mut self, logits: Edge, onehot: Edge) -> Result<Edge> {
        self.same_shape("softmax_cross_entropy", logits, onehot)?;
        let axis = self.last_axis(logits)?;
        let parts = self.softmax_parts(logits, axis)?;
        let p = self.softmax_of(&parts)?;
        let ln = self.ln_of(&parts)?;
        let chosen = self.mul(onehot, parts.shifted)?;
        let chosen = self.sum(chosen, axis)?;
        let loss = self.sub(ln, chosen)?;
        let derivative = self.sub(p, onehot)?;
        self.rules.insert(
            loss.node,
            Rule::Rows {
                input: logits,
                derivative,
            },
        );
        Ok(loss)
    }

    /// The cross-entropy of each logit against its label y in {0, 1}: softplus(z) - y·z.
    ///
    /// Its derivative by the logits is given in closed form, sigmoid(z) - y; none flows to `y`.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn sigmoid_cross_entropy(&mut self, logits: Edge, y: Edge) -> Result<Edge> {
        self.same_shape("sigmoid_cross_entropy", logits, y)?;
        let softplus = self.softplus(logits)?;
        let chosen = self.mul(y, logits)?;
        let loss = self.sub(softplus, chosen)?;
        let p = Edge {
            port: 0,
            ..softplus
        };
        let derivative = self.sub(p, y)?;
        self.rules.insert(
            loss.node,
            Rule::Rows {
                input: logits,
                derivative,
            },
        );
        Ok(loss)
    }

    /// 1/√v by Newton's iteration y ← y·(3 - v·y²)/2 from y₀ = `start`, for v·start² in [2^-14, 1]. The result has about
    /// as many significant bits as v has.
    ///
    /// # Errors
    /// [`Error::Range`] where `start` cannot be encoded.
    pub fn rsqrt(&mut self, v: Edge, start: f64) -> Result<Edge> {
        let shape = self.shape(v)?.to_vec();
        let mut y = self.fill(&shape, start);
        for _ in 0..NEWTON_STEPS {
            // v·y first: y² alone would lose its low bits where y is small.
            let vy = self.mul(v, y)?;
            let vyy = self.mul(vy, y)?;
            let correction = self.linear(&[(-1, vyy)], 3.0)?;
            let twice = self.mul(y, correction)?;
            y = self.scale(twice, 0.5)?;
        }
        Ok(y)
    }

    /// 1/v for v in [2^-14, 1], as the square of [`Graph::rsqrt`] with one Newton step r ← r·(2 - v·r) to polish it.
    ///
    /// # Errors
    /// As for [`Graph::rsqrt`].
    pub fn reciprocal(&mut self, v: Edge) -> Result<Edge> {
        let y = self.rsqrt(v, 1.0)?;
        let r = self.mul(y, y)?;
        let vr = self.mul(v, r)?;
        let correction = self.linear(&[(-1, vr)], 2.0)?;
        self.mul(r, correction)
    }

    fn same_shape(&self, op: &'static str, x: Edge, y: Edge) -> Result<()> {
        let (left, right) = (self.shape(x)?.to_vec(), self.shape(y)?.to_vec());
        if left == right {
            Ok(())
        } else {
            Err(Error::Shape { op, left, right })
        }
    }

    fn last_axis(&self, x: Edge) -> Result<usize> {
        let shape = self.shape(x)?;
        match shape.last() {
            Some(&n) if n > 0 => Ok(shape.len() - 1),
            _ => Err(Error::Invalid(format!(
                "a tensor of shape {shape:?} has no entries along its last axis"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, array};

    use super::*;
    use crate::{Plain, run};

    fn eval(build: impl Fn(&mut Graph, Edge) -> Result<Edge>, x: ArrayD<f32>) -> ArrayD<f32> {
        let mut g = Graph::new();
        let input = g.input(x.shape());
        let y = build(&mut g, input).unwrap();
        g.output(y);
        run(&g, &mut Plain, &[x]).unwrap().remove(0)
    }

    #[test]
    fn the_tournament_finds_the_maximum_of_any_number() {
        for n in 1..8 {
            let x = ArrayD::from_shape_fn(vec![5, n], |i| ((7 * i[0] + 5 * i[1]) % 11) as f32);
            let max = eval(|g, x| g.max_over(x, &[1]), x.clone());
            let want = x.map_axis(ndarray::Axis(1), |row| row.fold(f32::MIN, |a, &b| a.max(b)));
            assert_eq!(max.into_shape_with_order(vec![5]).unwrap(), want);
        }
    }

    #[test]
    fn softmax_rows_add_up_to_one_whatever_their_offset() {
        let x = array![[1.0, 2.0, 3.0], [101.0, 102.0, 103.0], [-50.0, 0.0, 100.0]].into_dyn();
        let p = eval(|g, x| g.softmax(x, 1), x);
        for row in p.rows() {
            assert!((row.sum() - 1.0).abs() < 1e-6);
        }
        assert!((p[[0, 2]] - 0.665_241).abs() < 1e-5 && (p[[1, 2]] - 0.665_241).abs() < 1e-5);
    }

    #[test]
    fn newton_converges_over_the_whole_range() {
        for k in 0..=140 {
            let v = 2f32.powf(-0.1 * k as f32);
            let r = eval(|g, v| g.rsqrt(v, 1.0), array![v].into_dyn())[0];
            assert!((r * v.sqrt() - 1.0).abs() < 1e-5, "rsqrt({v}) = {r}");
            let r = eval(|g, v| g.rsqrt(v, 1.0 / 16.0), array![256.0 * v].into_dyn())[0];
            assert!(
                (16.0 * r * v.sqrt() - 1.0).abs() < 1e-5,
                "rsqrt({}) = {r}",
                256.0 * v
            );
            let r = eval(|g, v| g.reciprocal(v), array![v].into_dyn())[0];
            assert!((r * v - 1.0).abs() < 1e-5, "1/{v} = {r}");
        }
    }

    #[test]
    fn cross_entropies_refuse_labels_of_another_shape() {
        let mut g = Graph::new();
        let (z, y) = (g.input(&[4, 3]), g.input(&[4, 1]));
        assert!(matches!(
            g.softmax_cross_entropy(z, y),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            g.sigmoid_cross_entropy(z, y),
            Err(Error::Shape { .. })
        ));
        let empty = g.input(&[4, 0]);
        assert!(matches!(g.softmax(empty, 1), Err(Error::Invalid(_))));
    }
}
