//! Layers as builders over [`Graph`]: edges and public parameters in, edges out. They follow the operators of
//! ONNX, whose names and shapes they keep.

pub mod attention;
pub mod batch_norm;
pub mod conv;
pub mod depth;
pub mod einsum;
pub mod max_pool;
pub mod norm;
pub mod pool;
pub mod recurrent;
pub mod resize;
pub mod rotary;
pub mod window;

use ndarray::ArrayD;

use crate::{Edge, Error, Graph, Result};

/// A refusal that says what does not fit.
fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid(what.into())
}

/// `x` with `begin` and `end` zeros around `axis`.
fn pad_axis(g: &mut Graph, x: Edge, axis: usize, begin: usize, end: usize) -> Result<Edge> {
    let mut parts = Vec::with_capacity(3);
    let mut shape = g.shape(x)?.to_vec();
    let mut zeros = |g: &mut Graph, n: usize| {
        shape[axis] = n;
        g.fill(&shape, 0.0)
    };
    if begin > 0 {
        parts.push(zeros(g, begin));
    }
    parts.push(x);
    if end > 0 {
        parts.push(zeros(g, end));
    }
    if parts.len() == 1 {
        Ok(x)
    } else {
        g.concat(axis, &parts)
    }
}

/// x times public numbers that broadcast to it, rounded once. The largest of them keeps the precision of 1, however small it
/// is; the product x·weight·2^k of the smallest power of two that lifts it there must stay below 2^26.
fn weigh(g: &mut Graph, x: Edge, weights: &ArrayD<f64>) -> Result<Edge> {
    let largest = weights.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    let lift = if largest > 0.0 && largest < 1.0 {
        2f64.powi((-largest.log2()).ceil() as i32)
    } else {
        1.0
    };
    let weights = g.public(weights.mapv(|w| w * lift));
    let y = g.mul(x, weights)?;
    g.scale(y, 1.0 / lift)
}

/// Entries along some axes together; none is refused.
fn count(g: &Graph, x: Edge, axes: &[usize]) -> Result<usize> {
    let shape = g.shape(x)?;
    let lengths = axes.iter().map(|&a| shape.get(a).copied());
    let n = lengths.collect::<Option<Vec<usize>>>();
    match n.map(|n| n.iter().product()) {
        Some(n) if n > 0 => Ok(n),
        _ => Err(invalid(format!(
            "a tensor of shape {shape:?} has no moments over the axes {axes:?}"
        ))),
    }
}

fn weigh_by(g: &mut Graph, x: Edge, c: f64) -> Result<Edge> {
    if c == 1.0 {
        return Ok(x);
    }
    weigh(g, x, &ndarray::arr0(c).into_dyn())
}

/// Adds one number a channel (axis 1).
fn add_per_channel(g: &mut Graph, x: Edge, bias: Edge) -> Result<Edge> {
    let bias = per_channel(g, bias, g.shape(x)?.len())?;
    g.add(x, bias)
}

/// \[channels\] as \[channels, 1, …\], which broadcasts over a tensor of `rank` axes whose axis 1 counts the channels.
fn per_channel(g: &mut Graph, v: Edge, rank: usize) -> Result<Edge> {
    let mut shape = vec![1; rank.max(2) - 1];
    shape[0] = match *g.shape(v)? {
        [channels] => channels,
        ref other => {
            return Err(invalid(format!(
                "one number a channel is expected, not a tensor of shape {other:?}"
            )));
        }
    };
    g.reshape(v, &shape)
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the tests of layers share.

    use ndarray::{ArrayD, IxDyn};

    use crate::{Clear, Edge, Graph, Result, run};

    /// Numbers in [-1, 1) that look random.
    pub(crate) fn numbers(shape: &[usize], seed: u64) -> ArrayD<f64> {
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        ArrayD::from_shape_fn(IxDyn(shape), |_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
    }

    /// Builds a graph on the given inputs and runs it in double precision.
    pub(crate) fn eval(
        xs: &[ArrayD<f64>],
        build: impl FnOnce(&mut Graph, &[Edge]) -> Result<Vec<Edge>>,
    ) -> Vec<ArrayD<f64>> {
        let mut g = Graph::new();
        let inputs: Vec<Edge> = xs.iter().map(|x| g.input(x.shape())).collect();
        for y in build(&mut g, &inputs).unwrap() {
            g.output(y);
        }
        run(&g, &mut Clear, xs).unwrap()
    }

    /// Whether two tensors agree in shape, and in every entry up to `tolerance`.
    #[track_caller]
    pub(crate) fn assert_close(x: &ArrayD<f64>, want: &ArrayD<f64>, tolerance: f64) {
        assert_eq!(x.shape(), want.shape());
        for (at, &w) in want.indexed_iter() {
            let v = x[&at];
            assert!((v - w).abs() <= tolerance, "at {at:?}: {v}, not {w}");
        }
    }
}
