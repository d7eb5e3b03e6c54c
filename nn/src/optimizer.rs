//! Gradient descent as graph nodes.

use crate::{Edge, Graph, Result};

/// Stochastic gradient descent with momentum: v ← µ·v + dw, w ← w - lr·v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Step size lr.
    pub learning_rate: f64,
    /// Momentum µ.
    pub momentum: f64,
}

impl Sgd {
    /// The next parameters and the next velocity.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the three differ in shape.
    pub fn step(&self, g: &mut Graph, w: Edge, v: Edge, dw: Edge) -> Result<(Edge, Edge)> {
        let kept = g.scale(v, self.momentum)?;
        let v = g.add(kept, dw)?;
        let step = g.scale(v, self.learning_rate)?;
        Ok((g.sub(w, step)?, v))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Plain, gradients, run};

    #[test]
    fn momentum_descends_a_bowl() {
        let mut g = Graph::new();
        let (w, v) = (g.input(&[2]), g.input(&[2]));
        let square = g.mul(w, w).unwrap();
        let loss = g.sum(square, 0).unwrap();
        let dw = gradients(&mut g, loss, &[w]).unwrap()[0];
        let (next, velocity) = Sgd {
            learning_rate: 0.1,
            momentum: 0.5,
        }
        .step(&mut g, w, v, dw)
        .unwrap();
        g.output(next);
        g.output(velocity);
        let mut state = vec![
            array![1.0f32, -2.0].into_dyn(),
            array![0.0f32, 0.0].into_dyn(),
        ];
        state = run(&g, &mut Plain, &state).unwrap();
        assert_eq!(
            state,
            [
                array![0.8f32, -1.6].into_dyn(),
                array![2.0f32, -4.0].into_dyn()
            ]
        );
        for _ in 0..60 {
            state = run(&g, &mut Plain, &state).unwrap();
        }
        assert!(state[0].iter().all(|w| w.abs() < 1e-4), "{}", state[0]);
    }
}
