//! Layers put together: their derivatives against finite differences, and blocks of networks in the ring against plaintext.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{ArrayD, IxDyn};
use tacit_nn::layers::{
    attention::{Attention, Visible, attention},
    batch_norm::batch_norm_training,
    conv::{Transposed, conv, conv_transpose},
    max_pool::max_pool,
    norm::{group_norm, layer_norm, rms_norm},
    pool::average_pool,
    recurrent::{Kind, Recurrent, Weights, recurrent},
    resize::{Coordinates, Interpolation, Resize, Resized, resize},
    rotary::rotary_embedding,
    window::{Padding, Window},
};
use tacit_nn::{Clear, Edge, Graph, Result, Ring, gradients, run};

/// Numbers in [-1, 1) that look random.
fn numbers(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

type Build<'b> = &'b dyn Fn(&mut Graph, &[Edge]) -> Result<Edge>;

/// The graph of a weighted sum of all results, and of its derivatives by all inputs.
fn weighted(xs: &[ArrayD<f64>], build: Build<'_>, derive: bool) -> Graph {
    let mut g = Graph::new();
    let edges: Vec<Edge> = xs.iter().map(|x| g.input(x.shape())).collect();
    let y = build(&mut g, &edges).unwrap();
    let weights = g.public(numbers(g.shape(y).unwrap(), 99));
    let product = g.mul(y, weights).unwrap();
    let axes: Vec<usize> = (0..g.shape(product).unwrap().len()).collect();
    let loss = g.sum_over(product, &axes).unwrap();
    if derive {
        for d in gradients(&mut g, loss, &edges).unwrap() {
            g.output(d);
        }
    } else {
        g.output(loss);
    }
    g
}

/// Every derivative agrees with the central difference.
#[track_caller]
fn check_gradients(xs: &[ArrayD<f64>], build: Build<'_>) {
    const STEP: f64 = 1e-4;
    let loss = weighted(xs, build, false);
    let value = |xs: &[ArrayD<f64>]| run(&loss, &mut Clear, xs).unwrap()[0].sum();
    let derived = run(&weighted(xs, build, true), &mut Clear, xs).unwrap();
    for (k, d) in derived.iter().enumerate() {
        // Every third entry.
        for (at, _) in xs[k].indexed_iter().step_by(3) {
            let moved = |by: f64| {
                let mut xs = xs.to_vec();
                xs[k][&at] += by;
                value(&xs)
            };
            let want = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let got = d[&at];
            assert!(
                (got - want).abs() < 1e-4 * (1.0 + want.abs()),
                "derivative by input {k} at {at:?}: {got}, not {want}"
            );
        }
    }
}

fn window(kernel: &[usize], stride: usize, pad: usize) -> Window {
    Window {
        stride: vec![stride; kernel.len()],
        padding: Padding::Explicit {
            begin: vec![pad; kernel.len()],
            end: vec![pad; kernel.len()],
        },
        ..Window::new(kernel)
    }
}

#[test]
fn convolutions_and_pooling_are_differentiated() {
    let x = numbers(&[2, 4, 6, 5], 1);
    let (w, b) = (numbers(&[6, 2, 3, 2], 2), numbers(&[6], 3));
    check_gradients(&[x.clone(), w, b], &|g, e| {
        let y = conv(g, e[0], e[1], Some(e[2]), &window(&[3, 2], 2, 1), 2)?;
        average_pool(g, y, &window(&[2, 2], 1, 1), false)
    });
    check_gradients(std::slice::from_ref(&x), &|g, e| {
        max_pool(g, e[0], &window(&[3, 2], 1, 1))
    });
    let spec = Transposed {
        window: window(&[3, 3], 2, 1),
        output_padding: vec![1, 0],
        output_shape: None,
        groups: 2,
    };
    check_gradients(&[x.clone(), numbers(&[4, 3, 3, 3], 4)], &|g, e| {
        conv_transpose(g, e[0], e[1], None, &spec)
    });
    let how = Resize {
        interpolation: Interpolation::Linear,
        coordinates: Coordinates::HalfPixel,
        exclude_outside: false,
        antialias: false,
        extrapolation: 0.0,
    };
    let to = Resized {
        axis: 2,
        scale: 1.5,
        length: 9,
        region: (0.0, 1.0),
    };
    check_gradients(&[x], &|g, e| resize(g, e[0], &how, &[to]));
}

#[test]
fn normalisation_is_differentiated() {
    let x = numbers(&[3, 4, 5], 5);
    let channels = [6, 7].map(|seed| numbers(&[4], seed));
    check_gradients(
        &[std::slice::from_ref(&x), &channels[..]].concat(),
        &|g, e| {
            let zero = g.fill(&[4], 0.0);
            let one = g.fill(&[4], 1.0);
            let t = batch_norm_training(g, e[0], (e[1], e[2]), (zero, one), 0.01, 0.9)?;
            Ok(t.y)
        },
    );
    check_gradients(
        &[std::slice::from_ref(&x), &channels[..]].concat(),
        &|g, e| group_norm(g, e[0], e[1], e[2], 2, 0.01),
    );
    let rows = [8, 9].map(|seed| numbers(&[5], seed));
    check_gradients(&[std::slice::from_ref(&x), &rows[..]].concat(), &|g, e| {
        Ok(layer_norm(g, e[0], e[1], Some(e[2]), 2, 0.01)?.y)
    });
    check_gradients(&[x, rows[0].clone()], &|g, e| {
        rms_norm(g, e[0], e[1], 2, 0.01)
    });
}

fn layer(kind: Kind) -> Recurrent {
    Recurrent {
        kind,
        reverse: vec![false, true],
        activations: kind.activations().repeat(2),
        clip: None,
        lengths: Some(vec![5, 3]),
    }
}

/// Five steps in both directions, inputs 3, hidden 4.
fn recurrence(g: &mut Graph, e: &[Edge], kind: Kind) -> Result<Edge> {
    let weights = Weights {
        w: e[1],
        r: e[2],
        bias: Some(e[3]),
        h: None,
        c: None,
        peepholes: None,
    };
    Ok(recurrent(g, e[0], &weights, &layer(kind))?.y)
}

fn recurrent_tensors(kind: Kind) -> Vec<ArrayD<f64>> {
    let n = 4 * kind.gates();
    let shapes = [vec![5, 2, 3], vec![2, n, 3], vec![2, n, 4], vec![2, 2 * n]];
    shapes
        .iter()
        .zip(10..)
        .map(|(s, seed)| numbers(s, seed))
        .collect()
}

const KINDS: [Kind; 4] = [
    Kind::Rnn,
    Kind::Gru {
        linear_before_reset: false,
    },
    Kind::Gru {
        linear_before_reset: true,
    },
    Kind::Lstm {
        input_forget: false,
    },
];

#[test]
fn recurrent_layers_are_differentiated() {
    for kind in KINDS {
        check_gradients(&recurrent_tensors(kind), &|g, e| recurrence(g, e, kind));
    }
}

/// A block of a transformer over x \[batch, length, 8\]: causal attention of four heads with rotated queries and keys, then
/// two layers with GELU, each on a normalised input and added to it.
fn block(g: &mut Graph, e: &[Edge]) -> Result<Edge> {
    let &[x, norm, qkv, out, up, down, cos, sin] = e else {
        panic!("eight tensors")
    };
    let shape = g.shape(x)?.to_vec();
    let (batch, length, width) = (shape[0], shape[1], shape[2]);
    let product = |g: &mut Graph, x: Edge, w: Edge| {
        let (rows, n) = (batch * length, g.shape(w)?[1]);
        let inputs = g.shape(w)?[0];
        let x = g.reshape(x, &[rows, inputs])?;
        let y = g.matmul(x, w)?;
        g.reshape(y, &[batch, length, n])
    };
    let normal = layer_norm(g, x, norm, None, 2, 1e-5)?.y;
    let all = product(g, normal, qkv)?;
    let heads = |g: &mut Graph, k: usize| {
        let part = g.slice(all, 2, k * width..(k + 1) * width)?;
        let part = g.reshape(part, &[batch, length, 4, width / 4])?;
        g.layout(tacit_nn::Layout::Transpose(vec![0, 2, 1, 3]), part)
    };
    let (q, k, v) = (heads(g, 0)?, heads(g, 1)?, heads(g, 2)?);
    let q = rotary_embedding(g, q, cos, sin, width / 4, false)?;
    let k = rotary_embedding(g, k, cos, sin, width / 4, false)?;
    let visible = Visible {
        causal: true,
        ..Visible::default()
    };
    let how = Attention {
        scale: None,
        softcap: 0.0,
    };
    let y = attention(g, (q, k, v), &visible, None, &how)?.y;
    let y = g.layout(tacit_nn::Layout::Transpose(vec![0, 2, 1, 3]), y)?;
    let y = g.reshape(y, &shape)?;
    let y = product(g, y, out)?;
    let x = g.add(x, y)?;
    let normal = layer_norm(g, x, norm, None, 2, 1e-5)?.y;
    let hidden = product(g, normal, up)?;
    let hidden = g.gelu(hidden)?;
    let y = product(g, hidden, down)?;
    g.add(x, y)
}

fn block_tensors() -> Vec<ArrayD<f64>> {
    let angles = numbers(&[1, 6, 1], 30);
    let mut tensors: Vec<ArrayD<f64>> = [
        vec![2, 6, 8],
        vec![8],
        vec![8, 24],
        vec![8, 8],
        vec![8, 16],
        vec![16, 8],
    ]
    .iter()
    .zip(20..)
    .map(|(s, seed)| numbers(s, seed))
    .collect();
    tensors.extend([angles.mapv(f64::cos), angles.mapv(f64::sin)]);
    tensors
}

#[test]
fn a_transformer_block_is_differentiated() {
    check_gradients(&block_tensors(), &block);
}

/// In fixed point the results are within 2^-11 of those in double precision.
#[track_caller]
fn check_ring(xs: &[ArrayD<f64>], build: Build<'_>) {
    let mut g = Graph::new();
    let edges: Vec<Edge> = xs.iter().map(|x| g.input(x.shape())).collect();
    let y = build(&mut g, &edges).unwrap();
    g.output(y);
    let want = run(&g, &mut Clear, xs).unwrap().remove(0);
    let mut e = Ring::new(tacit_nn::fixed::FRACTION_BITS);
    let shares: Vec<_> = xs.iter().map(|x| e.encode(x).unwrap()).collect();
    let got = run(&g, &mut e, &shares).unwrap().remove(0);
    let got = e.decode(&got);
    assert_eq!(got.shape(), want.shape());
    for (at, &w) in want.indexed_iter() {
        let v = got[&at];
        assert!((v - w).abs() < 2f64.powi(-11), "at {at:?}: {v}, not {w}");
    }
}

#[test]
fn fixed_point_follows_plaintext_through_blocks() {
    check_ring(&block_tensors(), &block);
    for kind in KINDS {
        check_ring(&recurrent_tensors(kind), &|g, e| recurrence(g, e, kind));
    }
    // Inputs like pixels, over more entries than are added up at once.
    let x = numbers(&[4, 3, 30, 30], 40).mapv(|v| 128.0 * (v + 1.0));
    check_ring(&[x, numbers(&[3], 41), numbers(&[3], 42)], &|g, e| {
        let zero = g.fill(&[3], 0.0);
        let t = batch_norm_training(g, e[0], (e[1], e[2]), (zero, zero), 1e-5, 0.9)?;
        let y = max_pool(g, t.y, &window(&[3, 3], 2, 1))?;
        average_pool(g, y, &window(&[5, 5], 5, 0), true)
    });
}
