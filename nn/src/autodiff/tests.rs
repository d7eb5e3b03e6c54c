//! Every rule against central finite differences.

use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::{Function, Layout, Plain, program::Scaled, run};

/// Entries in [-1, 1] without a pattern that an error could hide behind.
fn sample(shape: &[usize], salt: usize) -> ArrayD<f32> {
    let mut k = salt;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        k += 1;
        ((k * k * 37 + k * 11) % 101) as f32 / 50.0 - 1.0
    })
}

/// Builds y = f(inputs), the loss Σ weights·y, and compares the gradients by all inputs with differences of the loss.
fn check(shapes: &[&[usize]], f: impl Fn(&mut Graph, &[Edge]) -> Result<Edge>) {
    let mut g = Graph::new();
    let inputs: Vec<Edge> = shapes.iter().map(|s| g.input(s)).collect();
    let y = f(&mut g, &inputs).unwrap();
    let weights = sample(g.shape(y).unwrap(), 5).mapv(f64::from);
    let n = weights.len();
    let weights = g.public(weights);
    let weighted = g.mul(y, weights).unwrap();
    let flat = g.reshape(weighted, &[n]).unwrap();
    let loss = g.sum(flat, 0).unwrap();
    g.output(loss);
    for dx in gradients(&mut g, loss, &inputs).unwrap() {
        g.output(dx);
    }
    let values: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(k, s)| sample(s, 17 * k + 3))
        .collect();
    let results = run(&g, &mut Plain, &values).unwrap();
    let loss_at = |values: &[ArrayD<f32>]| f64::from(run(&g, &mut Plain, values).unwrap()[0][0]);
    for (k, shape) in shapes.iter().enumerate() {
        assert_eq!(results[k + 1].shape(), *shape);
        for (i, &dx) in results[k + 1].iter().enumerate() {
            const STEP: f32 = 1.0 / 128.0;
            let moved = |by: f32| {
                let mut values = values.clone();
                *values[k].iter_mut().nth(i).unwrap() += by;
                loss_at(&values)
            };
            let difference = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            assert!(
                (difference - f64::from(dx)).abs() < 2e-3,
                "input {k} entry {i}: {difference} against {dx}"
            );
        }
    }
}

#[test]
fn sums_and_products() {
    check(&[&[3, 4], &[1, 4]], |g, x| {
        g.linear(&[(2, x[0]), (-3, x[1]), (1, x[0])], 0.5)
    });
    check(&[&[3, 4], &[4]], |g, x| g.sub(x[0], x[1]));
    check(&[&[3, 4], &[3, 1]], |g, x| g.mul(x[0], x[1]));
    check(&[&[3, 4]], |g, x| g.mul(x[0], x[0]));
    check(&[&[3, 4], &[4, 2]], |g, x| g.matmul(x[0], x[1]));
    check(&[&[3, 4]], |g, x| g.scale(x[0], -0.37));
    check(&[&[3, 4]], |g, x| g.divide(x[0], 7));
}

#[test]
fn rearrangements() {
    check(&[&[3, 4]], |g, x| g.transpose(x[0]));
    check(&[&[3, 4, 2]], |g, x| {
        g.layout(Layout::Transpose(vec![1, 2, 0]), x[0])
    });
    check(&[&[3, 4]], |g, x| g.reshape(x[0], &[2, 6]));
    check(&[&[3, 4]], |g, x| g.slice(x[0], 1, 1..3));
    check(&[&[3, 4]], |g, x| g.slice(x[0], 0, 0..2));
    check(&[&[3, 4], &[3, 2]], |g, x| g.concat(1, &[x[0], x[1], x[0]]));
    check(&[&[3, 4]], |g, x| g.sum(x[0], 0));
    check(&[&[3, 4]], |g, x| g.mean(x[0], 1));
    check(&[&[3, 1]], |g, x| g.broadcast(x[0], &[2, 3, 4]));
}

#[test]
fn nonlinear_functions() {
    check(&[&[3, 5]], |g, x| g.relu(x[0]));
    check(&[&[3, 5]], |g, x| g.sigmoid(x[0]));
    check(&[&[3, 5]], |g, x| g.softplus(x[0]));
    check(&[&[3, 5]], |g, x| {
        let y = g.softplus(x[0])?;
        let p = Edge { port: 0, ..y };
        g.mul(y, p)
    });
    check(&[&[3, 5]], |g, x| g.exp(x[0]));
}

#[test]
fn constant_gradients_pass_through_every_layout() {
    check(&[&[3, 4]], |g, x| {
        let all = g.reshape(x[0], &[12])?;
        let padded = g.concat(0, &[all, all])?;
        let middle = g.slice(padded, 0, 3..17)?;
        let wide = g.broadcast(middle, &[2, 14])?;
        let turned = g.transpose(wide)?;
        let one = g.sum(turned, 0)?;
        g.mean(one, 1)
    });
}

#[test]
fn cross_entropies_have_their_closed_form() {
    let labels = |rows: usize, classes: usize| {
        ArrayD::from_shape_fn(IxDyn(&[rows, classes]), |i| {
            f64::from(u8::from(i[0] % classes == i[1]))
        })
    };
    check(&[&[4, 3]], |g, x| {
        let y = g.public(labels(4, 3));
        g.softmax_cross_entropy(x[0], y)
    });
    check(&[&[4, 2]], |g, x| {
        let y = g.public(labels(4, 2));
        g.sigmoid_cross_entropy(x[0], y)
    });
}

#[test]
fn two_layers_with_weighted_rows() {
    check(&[&[3, 4], &[1, 4], &[4, 2], &[3, 1]], |g, p| {
        let x = g.public(sample(&[5, 3], 40).mapv(f64::from));
        let y = g.public(ArrayD::from_shape_fn(IxDyn(&[5, 2]), |i| {
            f64::from(u8::from(i[0] % 2 == i[1]))
        }));
        let z = g.matmul(x, p[0])?;
        let z = g.add(z, p[1])?;
        let h = g.relu(z)?;
        let z = g.matmul(h, p[2])?;
        let loss = g.softmax_cross_entropy(z, y)?;
        let weights = g.concat(0, &[p[3], p[3]])?;
        let weights = g.slice(weights, 0, 0..5)?;
        let loss = g.mul(loss, weights)?;
        g.mean(loss, 0)
    });
}

#[test]
fn a_missing_rule_names_its_node() {
    let mut g = Graph::new();
    let x = g.input(&[1]);
    let scaled = Function::Scaled(Scaled::Ln, -1, 1);
    let y = g.map(scaled, &[x]).unwrap();
    let error = gradients(&mut g, y, &[x]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 1: the derivative of log is not supported here"
    );
    let wide = g.input(&[2]);
    assert!(matches!(
        gradients(&mut g, wide, &[x]),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn what_the_loss_does_not_use_has_gradient_zero() {
    let mut g = Graph::new();
    let (x, unused) = (g.input(&[1]), g.input(&[2, 2]));
    let dx = gradients(&mut g, x, &[x, unused]).unwrap();
    dx.into_iter().for_each(|dx| g.output(dx));
    let out = run(&g, &mut Plain, &[sample(&[1], 0), sample(&[2, 2], 0)]).unwrap();
    assert_eq!(
        (out[0][0], out[1].shape(), out[1].sum()),
        (1.0, &[2, 2][..], 0.0)
    );
}
