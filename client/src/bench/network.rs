//! Whole networks on shares: inputs and weights of different parties, and what plaintext gives.

use clap::ValueEnum;
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, conv::Conv};
use tacit_nn::{Clear, Edge, Engine, Graph, Result, gradients};
use tacit_protocols::Replicated;

/// Step of the descent that is measured.
const LEARNING_RATE: f64 = 0.125;

/// A network with random weights, or one step of training it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// Logits of a perceptron 784-128-128-10; the size is the batch
    Mlp,
    /// Logits of a LeNet 20c5-50c5-500-10 on images of 28 by 28; the size is the batch
    Lenet,
    /// One step of gradient descent on the perceptron; the size is the batch
    MlpTrain,
}

impl Network {
    /// The batch that is measured unless another is asked for.
    pub(super) fn default_size(self) -> usize {
        128
    }

    /// The network for a batch: a graph, and its inputs, the same at every party: what they are does not change what the
    /// network costs. The first input is the clients', the others are the owner's.
    pub(super) fn build(self, batch: usize) -> Result<(Graph, Vec<ArrayD<f64>>)> {
        let mut b = Builder {
            g: Graph::new(),
            inputs: Vec::new(),
        };
        match self {
            Self::Mlp => {
                let (logits, _) = b.perceptron(batch)?;
                b.g.output(logits);
            }
            Self::Lenet => {
                let logits = b.lenet(batch)?;
                b.g.output(logits);
            }
            Self::MlpTrain => b.step(batch)?,
        }
        Ok((b.g, b.inputs))
    }

    /// The inputs, shared by their owners.
    pub(super) fn share<E: Replicated>(e: &mut E, inputs: &[ArrayD<f64>]) -> Result<Vec<E::Value>> {
        let shares = inputs.iter().enumerate().map(|(k, x)| {
            let owner = k.min(1);
            let mine = (e.session().me() == owner).then_some(x);
            e.input(owner, x.shape(), mine)
        });
        shares.collect()
    }

    /// What the graph gives in plaintext, in double precision.
    pub(super) fn in_plaintext(graph: &Graph, inputs: &[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>> {
        let inputs = inputs.iter().map(|x| Clear.public(x));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        tacit_nn::run(graph, &mut Clear, &inputs)
    }
}

/// A graph and the values of its inputs, made together.
struct Builder {
    g: Graph,
    inputs: Vec<ArrayD<f64>>,
}

impl Builder {
    /// A private input with entries in \[lo, hi), the same on every machine.
    fn input(&mut self, shape: &[usize], lo: f64, hi: f64) -> Edge {
        let seed = self.inputs.len() as u64 + 1;
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            // Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = (z ^ (z >> 31)) as f64 / 2f64.powi(64);
            lo + (hi - lo) * unit
        });
        self.inputs.push(value);
        self.g.input(shape)
    }

    /// Weights that keep the variance of what goes through a ReLU (He et al., ICCV 2015).
    fn weights(&mut self, shape: &[usize], fan_in: usize) -> Edge {
        let bound = (6.0 / fan_in as f64).sqrt();
        self.input(shape, -bound, bound)
    }

    fn dense(&mut self, x: Edge, (from, to): (usize, usize)) -> Result<(Edge, [Edge; 2])> {
        let w = self.weights(&[from, to], from);
        let b = self.input(&[1, to], -0.1, 0.1);
        let z = self.g.matmul(x, w)?;
        Ok((self.g.add(z, b)?, [w, b]))
    }

    /// The logits, and the weights.
    fn perceptron(&mut self, batch: usize) -> Result<(Edge, Vec<Edge>)> {
        let mut x = self.input(&[batch, 784], 0.0, 1.0);
        let mut weights = Vec::new();
        for (k, layer) in [(784, 128), (128, 128), (128, 10)].into_iter().enumerate() {
            if k > 0 {
                x = self.g.relu(x)?;
            }
            let (z, wb) = self.dense(x, layer)?;
            x = z;
            weights.extend(wb);
        }
        Ok((x, weights))
    }

    /// The weights after one step on the mean cross-entropy.
    fn step(&mut self, batch: usize) -> Result<()> {
        let (logits, weights) = self.perceptron(batch)?;
        let labels = ArrayD::from_shape_fn(IxDyn(&[batch, 10]), |at| {
            f64::from(u8::from(at[0] * 7 % 10 == at[1]))
        });
        self.inputs.push(labels);
        let y = self.g.input(&[batch, 10]);
        let losses = self.g.softmax_cross_entropy(logits, y)?;
        let loss = self.g.mean(losses, 0)?;
        let by = gradients(&mut self.g, loss, &weights)?;
        for (w, dw) in weights.into_iter().zip(by) {
            let change = self.g.scale(dw, LEARNING_RATE)?;
            let new = self.g.sub(w, change)?;
            self.g.output(new);
        }
        Ok(())
    }

    fn lenet(&mut self, batch: usize) -> Result<Edge> {
        let mut x = self.input(&[batch, 1, 28, 28], 0.0, 1.0);
        for (from, to, side) in [(1, 20, 28), (20, 50, 12)] {
            let w = self.weights(&[to, from, 5, 5], from * 25);
            let b = self.input(&[1, to, 1, 1], -0.1, 0.1);
            let z = self
                .g
                .bilinear(Bilinear::Conv(Conv::new(&[side, side], &[5, 5])), x, w)?;
            let z = self.g.add(z, b)?;
            // The maximum before the ReLU: a quarter of the comparisons with zero.
            let z = self.halved(z, 2)?;
            let z = self.halved(z, 3)?;
            x = self.g.relu(z)?;
        }
        let x = self.g.reshape(x, &[batch, 50 * 4 * 4])?;
        let (x, _) = self.dense(x, (800, 500))?;
        let x = self.g.relu(x)?;
        Ok(self.dense(x, (500, 10))?.0)
    }

    /// The larger of each two neighbours on an axis.
    fn halved(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        let n = self.g.shape(x)?[axis];
        let every_second = |from: usize| (from..n).step_by(2).collect::<Vec<_>>();
        let even = self.g.gather(x, axis, &every_second(0))?;
        let odd = self.g.gather(x, axis, &every_second(1))?;
        self.g.max(even, odd)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tacit_mpc::net::{MemNet, Transport};
    use tacit_mpc::simulate::simulate;
    use tacit_protocols::rep3::{CostEngine, CostValue as Shape, Depth, Rep3Engine};

    use super::*;

    #[test]
    fn networks_on_shares_give_what_plaintext_gives() {
        for &network in Network::value_variants() {
            let (graph, inputs) = network.build(2).unwrap();
            let want = Network::in_plaintext(&graph, &inputs).unwrap();
            let nets = MemNet::mesh(3)
                .into_iter()
                .map(|n| Arc::new(n) as Arc<dyn Transport>);
            let opened = simulate(nets.collect(), |session| {
                let mut e = Rep3Engine::new(session, 18).unwrap();
                let shares = Network::share(&mut e, &inputs).unwrap();
                let outputs = tacit_nn::run(&graph, &mut e, &shares).unwrap();
                let opened = outputs.iter().map(|y| e.reveal(y).unwrap());
                opened.collect::<Vec<_>>()
            });
            let got = opened[0].as_ref().unwrap();
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(&want) {
                let error = crate::local::distance(got, want);
                assert!(error < 1e-3, "{network:?}: {error}");
            }
            // The random logits differ: nothing is lost on the way.
            let spread = want[0].iter().fold(0.0, |most: f64, v| most.max(v.abs()));
            assert!(spread > 0.05, "{network:?}: {spread}");
        }
    }

    /// Bytes of all parties, to the digits of the figures, and rounds for the batch that is measured.
    #[test]
    fn networks_cost_what_the_figures_say() {
        for (network, megabytes, rounds) in [
            (Network::Mlp, 3.46, 18),
            (Network::MlpTrain, 9.99, 74),
            (Network::Lenet, 197.85, 52),
        ] {
            let (graph, inputs) = network.build(128).unwrap();
            let mut e = CostEngine::new(18, Depth::Three);
            let shares = inputs.iter().map(|x| Shape::shared(x.shape()));
            tacit_nn::run(&graph, &mut e, &shares.collect::<Vec<_>>()).unwrap();
            let parties = e.parties();
            let sent: u64 = parties.iter().map(|p| p.bytes).sum();
            let most = parties.iter().map(|p| p.rounds).max();
            assert_eq!(most, Some(rounds), "{network:?}");
            let apart = (sent as f64 / 1e6 - megabytes).abs();
            assert!(apart < 0.01, "{network:?}: {sent} bytes");
        }
    }

    #[test]
    fn the_layers_have_the_published_sizes() {
        let (_, inputs) = Network::Lenet.build(1).unwrap();
        let weights = inputs[1..].iter().map(ArrayD::len);
        assert_eq!(weights.sum::<usize>(), 431_080);
        let (graph, inputs) = Network::Mlp.build(3).unwrap();
        let weights = inputs[1..].iter().map(ArrayD::len);
        assert_eq!(weights.sum::<usize>(), 118_282);
        assert_eq!(
            Network::in_plaintext(&graph, &inputs).unwrap()[0].shape(),
            [3, 10]
        );
    }
}
