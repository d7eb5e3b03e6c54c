//! Words over axes: softmax, maxima, orders, means.

use std::collections::BTreeSet;

use ndarray::{ArrayD, Axis, IxDyn};
use tacit_nn::graph::Op;
use tacit_nn::random::Stream;
use tacit_nn::{Clear, Edge, Engine, Graph, Result, Ring, gradients, run};

use super::{F, place, unit};

type Build = fn(&mut Graph, Edge, usize) -> Result<Edge>;

/// The words that have a derivative.
const WORDS: [(&str, Build); 9] = [
    ("softmax", |g, x, axis| g.softmax(x, axis)),
    ("log_softmax", |g, x, axis| g.log_softmax(x, axis)),
    ("max_over", |g, x, axis| g.max_over(x, &[axis])),
    ("min_over", |g, x, axis| g.min_over(x, &[axis])),
    ("sum_over", |g, x, axis| g.sum_over(x, &[axis])),
    ("mean_over", |g, x, axis| g.mean_over(x, &[axis])),
    ("variance_over", |g, x, axis| g.variance_over(x, &[axis])),
    ("top_k", |g, x, axis| Ok(g.top_k(x, 2, axis, true)?.0)),
    ("argmax", |g, x, axis| g.argmax(x, axis, false)),
];

/// Entries in [-most, most], in steps of an eighth of it where they shall tie.
fn sample(shape: &[usize], most: f64, ties: bool) -> ArrayD<f64> {
    let mut stream = Stream::new(&[3; 32], "axes");
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        let k = stream.below(1 << 16) as f64 / 32768.0 - 1.0;
        most * if ties {
            (8.0 * k).round() / 8.0
        } else {
            (k / unit()).round() * unit()
        }
    })
}

fn ring(
    build: impl Fn(&mut Graph, Edge) -> Result<Vec<Edge>>,
    x: &ArrayD<f64>,
) -> Vec<ArrayD<f64>> {
    let mut g = Graph::new();
    let input = g.input(x.shape());
    for y in build(&mut g, input).unwrap() {
        g.output(y);
    }
    let mut e = Ring::new(F as u32);
    let x = e.public(x).unwrap();
    run(&g, &mut e, &[x])
        .unwrap()
        .iter()
        .map(|y| e.decode(y))
        .collect()
}

fn softmax(x: &ArrayD<f64>, axis: usize) -> ArrayD<f64> {
    let max = x
        .map_axis(Axis(axis), |row| row.fold(f64::MIN, |a, &b| a.max(b)))
        .insert_axis(Axis(axis));
    let e = (x - &max).mapv(f64::exp);
    let sum = e.sum_axis(Axis(axis)).insert_axis(Axis(axis));
    e / sum
}

fn worst(x: &ArrayD<f64>, y: &ArrayD<f64>) -> f64 {
    assert_eq!(x.shape(), y.shape());
    x.iter()
        .zip(y)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f64::max)
        / unit()
}

#[test]
fn softmax_is_accurate_over_any_axis_for_any_logits() {
    for (shape, axis, most) in [
        (vec![50, 10], 1, 5.0),
        (vec![7, 20, 3], 1, 10.0),
        (vec![33, 40], 0, 1e4),
        (vec![4, 1000], 1, 3.0),
        (vec![3, 1], 1, 3.0),
    ] {
        let x = sample(&shape, most, false);
        let y = ring(
            |g, x| Ok(vec![g.softmax(x, axis)?, g.log_softmax(x, axis)?]),
            &x,
        );
        let want = softmax(&x, axis);
        let off = worst(&y[0], &want);
        println!("softmax {shape:?} ±{most}: {off:.2} units");
        assert!(off < 8.0);
        let max = x
            .map_axis(Axis(axis), |row| row.fold(f64::MIN, |a, &b| a.max(b)))
            .insert_axis(Axis(axis));
        let e = (&x - &max).mapv(f64::exp);
        let ln = (&x - &max) - e.sum_axis(Axis(axis)).insert_axis(Axis(axis)).mapv(f64::ln);
        let off = worst(&y[1], &ln);
        println!("log_softmax {shape:?} ±{most}: {off:.2} units");
        // Every term of the sum may be a unit short.
        assert!(off < 4.0 + shape[axis] as f64 * 0.7);
    }
}

#[test]
fn masked_entries_vanish_and_a_row_of_nothing_else_is_even() {
    let m = -(2f64.powi(30));
    let x = ndarray::array![[1.0, m, 2.0, m], [m, m, m, m], [m, 1e4, -1e4, m]].into_dyn();
    let p = ring(|g, x| Ok(vec![g.softmax(x, 1)?]), &x).remove(0);
    let want = ndarray::array![
        [0.268_941_42, 0.0, 0.731_058_58, 0.0],
        [0.25, 0.25, 0.25, 0.25],
        [0.0, 1.0, 0.0, 0.0]
    ];
    assert!(worst(&p, &want.into_dyn()) < 4.0, "{p}");
    assert_eq!((p[[0, 1]], p[[0, 3]], p[[2, 2]]), (0.0, 0.0, 0.0));
}

#[test]
fn maxima_and_their_places_break_ties_as_told() {
    for n in [1, 2, 3, 4, 5, 7, 8, 13] {
        let x = sample(&[6, n, 2], 3.0, true);
        let y = ring(
            |g, x| {
                Ok(vec![
                    g.max_over(x, &[1])?,
                    g.min_over(x, &[0, 2])?,
                    g.argmax(x, 1, false)?,
                    g.argmax(x, 1, true)?,
                    g.argmin(x, 1, false)?,
                    g.hardmax(x, 1)?,
                ])
            },
            &x,
        );
        for lane in 0..12 {
            let (i, j) = (lane / 2, lane % 2);
            let row: Vec<f64> = (0..n).map(|k| x[[i, k, j]]).collect();
            let max = row.iter().copied().fold(f64::MIN, f64::max);
            let min = row.iter().copied().fold(f64::MAX, f64::min);
            let first = row.iter().position(|&v| v == max).unwrap();
            assert_eq!(y[0][[i, 0, j]], max);
            assert_eq!(y[2][[i, 0, j]], first as f64);
            assert_eq!(
                y[3][[i, 0, j]],
                row.iter().rposition(|&v| v == max).unwrap() as f64
            );
            assert_eq!(
                y[4][[i, 0, j]],
                row.iter().position(|&v| v == min).unwrap() as f64
            );
            for k in 0..n {
                assert_eq!(y[5][[i, k, j]], f64::from(u8::from(k == first)));
            }
        }
        let least = x.map_axis(Axis(0), |v| v.fold(f64::MAX, |a, &b| a.min(b)));
        let least = least.map_axis(Axis(1), |v| v.fold(f64::MAX, |a, &b| a.min(b)));
        assert_eq!(
            y[1].iter().collect::<Vec<_>>(),
            least.iter().collect::<Vec<_>>()
        );
    }
    // Differences up to 2^44.
    let far =
        ndarray::array![[-(2f64.powi(42)), 2f64.powi(43), 0.5, -(2f64.powi(43)) + 1.0]].into_dyn();
    let y = ring(
        |g, x| Ok(vec![g.max_over(x, &[1])?, g.argmin(x, 1, false)?]),
        &far,
    );
    assert_eq!((y[0][[0, 0]], y[1][[0, 0]]), (2f64.powi(43), 3.0));
}

#[test]
fn the_greatest_k_come_in_order() {
    for (n, k, largest) in [
        (1, 1, true),
        (9, 1, true),
        (9, 4, true),
        (9, 9, false),
        (6, 6, true),
    ] {
        let x = sample(&[5, n], 100.0, true);
        let y = ring(
            |g, x| {
                let (values, indices) = g.top_k(x, k, 1, largest)?;
                Ok(vec![values, indices])
            },
            &x,
        );
        for (i, row) in x.rows().into_iter().enumerate() {
            let mut order: Vec<usize> = (0..n).collect();
            let key = |at: usize| if largest { -row[at] } else { row[at] };
            order.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
            for (place, &at) in order.iter().take(k).enumerate() {
                assert_eq!(y[0][[i, place]], row[at]);
                assert_eq!(y[1][[i, place]], at as f64);
            }
        }
    }
    let mut g = Graph::new();
    let x = g.input(&[4]);
    assert!(g.top_k(x, 5, 0, true).is_err() && g.top_k(x, 0, 0, true).is_err());
    assert!(g.argmax(x, 1, false).is_err() && g.mean_over(x, &[3]).is_err());
}

#[test]
fn means_and_variances_are_exact_to_units() {
    let x = sample(&[3, 77, 5], 8.0, false);
    let y = ring(
        |g, x| {
            Ok(vec![
                g.mean_over(x, &[1, 2])?,
                g.variance_over(x, &[0, 1])?,
                g.sum_over(x, &[2])?,
            ])
        },
        &x,
    );
    let mean = x.sum_axis(Axis(1)).sum_axis(Axis(1)) / 385.0;
    assert!(
        y[0].iter()
            .zip(&mean)
            .all(|(a, b)| (a - b).abs() < 3.0 * unit())
    );
    for j in 0..5 {
        let lane = x.index_axis(Axis(2), j);
        let mean = lane.mean().unwrap();
        let variance = lane.mapv(|v| (v - mean) * (v - mean)).mean().unwrap();
        assert!((y[1][[0, 0, j]] - variance).abs() < 32.0 * unit());
    }
    assert!(worst(&y[2], &x.sum_axis(Axis(2)).insert_axis(Axis(2))) < 0.01);
}

#[test]
fn derivatives_agree_with_differences() {
    const STEP: f64 = 1e-5;
    for (name, build) in WORDS {
        for axis in [0, 1] {
            let x = sample(&[4, 5], 2.0, false);
            let mut g = Graph::new();
            let input = g.input(x.shape());
            let y = build(&mut g, input, axis).unwrap();
            let weights = sample(g.shape(y).unwrap(), 1.0, false).mapv(|w| w + 0.1);
            let n = weights.len();
            let weights = g.public(weights);
            let weighted = g.mul(y, weights).unwrap();
            let flat = g.reshape(weighted, &[n]).unwrap();
            let loss = g.sum(flat, 0).unwrap();
            g.output(loss);
            let dx = gradients(&mut g, loss, &[input]).unwrap().remove(0);
            g.output(dx);
            let at = |x: &ArrayD<f64>| run(&g, &mut Clear, std::slice::from_ref(x)).unwrap();
            let found = at(&x).remove(1);
            for (k, &dx) in found.iter().enumerate() {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    *x.iter_mut().nth(k).unwrap() += by;
                    at(&x)[0][[0]]
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                assert!(
                    (difference - dx).abs() < 1e-6,
                    "{name} over {axis}, entry {k}: {difference} against {dx}"
                );
            }
        }
    }
}

/// Adds the functions that the words over axes are made of.
pub(crate) fn functions_seen(seen: &mut BTreeSet<usize>) {
    for (_, build) in WORDS {
        for n in [5, 4000] {
            let mut g = Graph::new();
            let x = g.input(&[n]);
            build(&mut g, x, 0).unwrap();
            (0..g.len()).for_each(|k| {
                if let Some(Op::Map(f)) = g.op(k) {
                    seen.insert(place(f));
                }
            });
        }
    }
}
