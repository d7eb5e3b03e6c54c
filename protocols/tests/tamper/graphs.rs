//! Small graphs with every kind of layer.

use ndarray::ArrayD;
use tacit_nn::layers::attention::{Attention, Visible, attention};
use tacit_nn::layers::conv::conv;
use tacit_nn::layers::max_pool::max_pool;
use tacit_nn::layers::norm::layer_norm;
use tacit_nn::layers::window::Window;
use tacit_nn::{Graph, Loss, gradients};

use super::common::reals;

/// A graph and its inputs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) graph: Graph,
    pub(crate) inputs: Vec<ArrayD<f64>>,
    /// What is logged is proved above so many bytes.
    pub(crate) verify_every: usize,
}

/// Convolution, pooling, relu, twice, a dense layer and a softmax.
pub(crate) fn lenet() -> Case {
    let shapes: [&[usize]; 6] = [
        &[1, 1, 8, 8],
        &[2, 1, 3, 3],
        &[2],
        &[2, 2, 2, 2],
        &[3, 2],
        &[3],
    ];
    let mut graph = Graph::new();
    let g = &mut graph;
    let [x, w1, b1, w2, w3, b3] = shapes.map(|s| g.input(s));
    let pool = Window {
        stride: vec![2, 2],
        ..Window::new(&[2, 2])
    };
    let mut y = conv(g, x, w1, Some(b1), &Window::new(&[3, 3]), 1).unwrap();
    y = max_pool(g, y, &pool).unwrap();
    y = g.relu(y).unwrap();
    y = conv(g, y, w2, None, &Window::new(&[2, 2]), 1).unwrap();
    y = max_pool(g, y, &pool).unwrap();
    y = g.relu(y).unwrap();
    y = g.reshape(y, &[1, 2]).unwrap();
    let w3 = g.transpose(w3).unwrap();
    y = g.matmul(y, w3).unwrap();
    y = g.add(y, b3).unwrap();
    let y = g.softmax(y, 1).unwrap();
    g.output(y);
    case("lenet", graph, &shapes, usize::MAX)
}

/// Layer norm, attention of two tokens with a residual, layer norm, a dense layer with gelu.
pub(crate) fn transformer() -> Case {
    let shapes: [&[usize]; 5] = [&[2, 4], &[3, 4, 2], &[2, 4], &[4], &[4, 3]];
    let mut graph = Graph::new();
    let g = &mut graph;
    let [x, qkv, out, scale, w] = shapes.map(|s| g.input(s));
    let n = layer_norm(g, x, scale, None, 1, 1e-3).unwrap().y;
    let heads = [0, 1, 2].map(|k| {
        let weights = g.slice(qkv, 0, k..k + 1).unwrap();
        let weights = g.reshape(weights, &[4, 2]).unwrap();
        let projected = g.matmul(n, weights).unwrap();
        g.reshape(projected, &[1, 1, 2, 2]).unwrap()
    });
    let attended = attention(
        g,
        (heads[0], heads[1], heads[2]),
        &Visible::default(),
        None,
        &Attention {
            scale: None,
            softcap: 0.0,
        },
    )
    .unwrap();
    let attended = g.reshape(attended.y, &[2, 2]).unwrap();
    let attended = g.matmul(attended, out).unwrap();
    let x = g.add(x, attended).unwrap();
    let n = layer_norm(g, x, scale, None, 1, 1e-3).unwrap().y;
    let h = g.matmul(n, w).unwrap();
    let y = g.gelu(h).unwrap();
    g.output(y);
    case("transformer", graph, &shapes, usize::MAX)
}

/// A step of gradient descent of a perceptron under softmax cross-entropy, proved many times on the way.
pub(crate) fn training_step() -> Case {
    let shapes: [&[usize]; 5] = [&[3, 4], &[3, 2], &[4, 3], &[3], &[3, 2]];
    let mut graph = Graph::new();
    let g = &mut graph;
    let [x, targets, w1, b1, w2] = shapes.map(|s| g.input(s));
    let h = g.matmul(x, w1).unwrap();
    let h = g.add(h, b1).unwrap();
    let h = g.relu(h).unwrap();
    let y = g.matmul(h, w2).unwrap();
    let loss = Loss::SoftmaxCrossEntropy.of_rows(g, y, targets).unwrap();
    let loss = g.mean_over(loss, &[0, 1]).unwrap();
    let wrt = [w1, b1, w2];
    for (w, d) in wrt.into_iter().zip(gradients(g, loss, &wrt).unwrap()) {
        let step = g.scale(d, 0.1).unwrap();
        let trained = g.sub(w, step).unwrap();
        g.output(trained);
    }
    g.output(loss);
    case("training step", graph, &shapes, 1 << 14)
}

fn case(name: &'static str, graph: Graph, shapes: &[&[usize]], verify_every: usize) -> Case {
    let seeds = 1..;
    Case {
        name,
        graph,
        inputs: shapes.iter().zip(seeds).map(|(s, k)| reals(s, k)).collect(),
        verify_every,
    }
}
