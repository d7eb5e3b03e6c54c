//! A graph within a graph.

use super::{Edge, Graph, Op, Rule};
use crate::{Error, Result};

impl Graph {
    /// Appends another graph, its inputs being these edges of this one; its outputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of inputs than it has, [`Error::Shape`] where one has another shape.
    pub fn append(&mut self, other: &Self, inputs: &[Edge]) -> Result<Vec<Edge>> {
        if inputs.len() != other.inputs {
            return Err(Error::Invalid(format!(
                "the graph has {} inputs, {} were given",
                other.inputs,
                inputs.len()
            )));
        }
        let mut places: Vec<Edge> = Vec::with_capacity(other.len());
        let place = |places: &[Edge], x: Edge| Edge {
            node: places[x.node].node,
            port: places[x.node].port + x.port,
        };
        for (k, node) in other.nodes.iter().enumerate() {
            if let Some(origin) = other.origins.get(&k) {
                self.set_origin(origin.clone());
            }
            if let Op::Input(input) = node.op {
                let left = self.shape(inputs[input])?;
                if left != node.shape {
                    return Err(Error::Shape {
                        op: "input",
                        left: left.to_vec(),
                        right: node.shape.clone(),
                    });
                }
                places.push(inputs[input]);
                continue;
            }
            let operands: Vec<Edge> = node.inputs.iter().map(|&x| place(&places, x)).collect();
            places.push(self.push(node.op.clone(), &operands, node.shape.clone()));
        }
        for (&node, &rule) in &other.rules {
            let rule = rule.placed(|x| place(&places, x));
            self.rules.insert(places[node].node, rule);
        }
        Ok(other.outputs.iter().map(|&x| place(&places, x)).collect())
    }
}

impl Rule {
    /// The same of other edges.
    fn placed(self, place: impl Fn(Edge) -> Edge) -> Self {
        match self {
            Self::Rows { input, derivative } => Self::Rows {
                input: place(input),
                derivative: place(derivative),
            },
            Self::Softmax { input, axis } => Self::Softmax {
                input: place(input),
                axis,
            },
            Self::LogSoftmax { input, p, axis } => Self::LogSoftmax {
                input: place(input),
                p: place(p),
                axis,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Plain, gradients, run};

    #[test]
    fn an_appended_graph_computes_and_differentiates_as_it_did() {
        let mut inner = Graph::new();
        let (z, y) = (inner.input(&[1, 1]), inner.input(&[1, 1]));
        inner.set_origin("loss");
        let loss = inner.sigmoid_cross_entropy(z, y).unwrap();
        let p = inner.sigmoid(z).unwrap();
        [loss, p].into_iter().for_each(|x| inner.output(x));

        let mut g = Graph::new();
        let (y, x) = (g.input(&[1, 1]), g.input(&[1, 1]));
        let twice = g.linear(&[(2, x)], 0.0).unwrap();
        let out = g.append(&inner, &[twice, y]).unwrap();
        assert_eq!(g.origin(out[0].node), "loss");
        let dx = gradients(&mut g, out[0], &[x]).unwrap()[0];
        out.into_iter().chain([dx]).for_each(|x| g.output(x));
        let one = |v: f32| array![[v]].into_dyn();
        let got = run(&g, &mut Plain, &[one(1.0), one(0.75)]).unwrap();
        let p = 1.0 / (1.0 + (-1.5f32).exp());
        for (got, want) in got.iter().zip([-p.ln(), p, 2.0 * (p - 1.0)]) {
            assert!((got[[0, 0]] - want).abs() < 1e-6, "{got} not {want}");
        }
        assert!(g.append(&inner, &[x]).is_err());
        let wide = g.input(&[1, 2]);
        assert!(matches!(
            g.append(&inner, &[wide, y]),
            Err(Error::Shape { .. })
        ));
    }
}
