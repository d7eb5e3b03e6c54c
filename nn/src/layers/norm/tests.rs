use ndarray::{ArrayD, Axis, IxDyn};

use super::*;
use crate::layers::batch_norm::{batch_norm, batch_norm_training};
use crate::layers::testing::{assert_close, eval, numbers};

/// Mean and variance of some numbers.
fn moments_of(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (
        mean,
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n,
    )
}

/// Each entry normalised by the moments of those that `same` puts with it.
fn normalised(
    x: &ArrayD<f64>,
    epsilon: f64,
    same: impl Fn(&[usize], &[usize]) -> bool,
) -> ArrayD<f64> {
    ArrayD::from_shape_fn(x.raw_dim(), |at| {
        let at = ndarray::Dimension::slice(&at).to_vec();
        let group: Vec<f64> = x
            .indexed_iter()
            .filter(|(other, _)| same(&at, ndarray::Dimension::slice(other)))
            .map(|(_, &v)| v)
            .collect();
        let (mean, variance) = moments_of(&group);
        (x[&at[..]] - mean) / (variance + epsilon).sqrt()
    })
}

/// One number a channel, spread over a tensor.
fn spread(v: &ArrayD<f64>, shape: &[usize]) -> ArrayD<f64> {
    ArrayD::from_shape_fn(IxDyn(shape), |at| v[at[1]])
}

#[test]
fn layers_are_normalised_over_the_last_axes() {
    let (x, s, b) = (
        numbers(&[2, 3, 5], 1),
        numbers(&[3, 5], 2),
        numbers(&[3, 5], 3),
    );
    let y = eval(&[x.clone(), s.clone(), b.clone()], |g, e| {
        let n = layer_norm(g, e[0], e[1], Some(e[2]), 1, 0.1)?;
        Ok(vec![n.y, n.mean, n.inverse_deviation])
    });
    let want = normalised(&x, 0.1, |a, o| a[0] == o[0]) * &s + &b;
    assert_close(&y[0], &want, 1e-6);
    for k in 0..2 {
        let row: Vec<f64> = x.index_axis(Axis(0), k).iter().copied().collect();
        let (mean, variance) = moments_of(&row);
        assert!((y[1][[k, 0, 0]] - mean).abs() < 1e-9);
        assert!((y[2][[k, 0, 0]] * (variance + 0.1).sqrt() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn root_mean_squares_leave_the_mean_alone() {
    let (x, s) = (numbers(&[4, 6], 4).mapv(|v| v + 1.0), numbers(&[6], 5));
    let y = eval(&[x.clone(), s.clone()], |g, e| {
        Ok(vec![rms_norm(g, e[0], e[1], 1, 1e-3)?])
    });
    let want = ArrayD::from_shape_fn(x.raw_dim(), |at| {
        let square: f64 = (0..6).map(|j| x[[at[0], j]].powi(2)).sum::<f64>() / 6.0;
        x[&at] / (square + 1e-3).sqrt() * s[at[1]]
    });
    assert_close(&y[0], &want, 1e-6);
}

#[test]
fn groups_take_one_factor_a_channel_or_a_group() {
    let x = numbers(&[2, 4, 3, 2], 6);
    let (channels, groups) = (numbers(&[4], 7), numbers(&[2], 8));
    let y = eval(&[x.clone(), channels.clone(), groups.clone()], |g, e| {
        Ok(vec![
            group_norm(g, e[0], e[1], e[1], 2, 0.01)?,
            group_norm(g, e[0], e[2], e[2], 2, 0.01)?,
            instance_norm(g, e[0], e[1], e[1], 0.01)?,
        ])
    });
    let by_group = normalised(&x, 0.01, |a, o| a[0] == o[0] && a[1] / 2 == o[1] / 2);
    let each = spread(&channels, x.shape());
    assert_close(&y[0], &(&by_group * &each + &each), 1e-6);
    let of_group = ArrayD::from_shape_fn(x.raw_dim(), |at| groups[at[1] / 2]);
    assert_close(&y[1], &(&by_group * &of_group + &of_group), 1e-6);
    let by_channel = normalised(&x, 0.01, |a, o| a[..2] == o[..2]);
    assert_close(&y[2], &(&by_channel * &each + &each), 1e-6);
}

#[test]
fn batches_are_normalised_by_given_or_their_own_moments() {
    let x = numbers(&[5, 3, 4], 9);
    let [s, b, m] = [10, 11, 12].map(|seed| numbers(&[3], seed));
    let v = numbers(&[3], 13).mapv(|v| v.abs() + 0.1);
    let inputs = [x.clone(), s.clone(), b.clone(), m.clone(), v.clone()];
    let y = eval(&inputs, |g, e| {
        let t = batch_norm_training(g, e[0], (e[1], e[2]), (e[3], e[4]), 0.01, 0.9)?;
        let given = batch_norm(g, e[0], (e[1], e[2]), (e[3], e[4]), 0.01)?;
        Ok(vec![given, t.y, t.mean, t.variance])
    });
    let of = |v: &ArrayD<f64>| spread(v, x.shape());
    let want = (&x - &of(&m)) / (of(&v) + 0.01).mapv(f64::sqrt) * of(&s) + of(&b);
    assert_close(&y[0], &want, 1e-6);
    let own = normalised(&x, 0.01, |a, o| a[1] == o[1]) * of(&s) + of(&b);
    assert_close(&y[1], &own, 1e-6);
    for c in 0..3 {
        let channel: Vec<f64> = x.index_axis(Axis(1), c).iter().copied().collect();
        let (mean, variance) = moments_of(&channel);
        assert!((y[2][[c]] - (0.9 * m[[c]] + 0.1 * mean)).abs() < 1e-9);
        assert!((y[3][[c]] - (0.9 * v[[c]] + 0.1 * variance)).abs() < 1e-9);
    }
}

#[test]
fn moments_over_many_entries_are_those_of_all() {
    // 2·3·101 entries: three chunks, the last one padded.
    let x = numbers(&[2, 4, 3, 101], 14).mapv(|v| 3.0 * v + 5.0);
    let y = eval(std::slice::from_ref(&x), |g, e| {
        let m = moments(g, e[0], &[0, 2, 3])?;
        Ok(vec![m.mean, m.variance, squares(g, e[0], &[0, 2, 3], 1.0)?])
    });
    for c in 0..4 {
        let channel: Vec<f64> = x.index_axis(Axis(1), c).iter().copied().collect();
        let (mean, variance) = moments_of(&channel);
        assert!((y[0][[0, c, 0, 0]] - mean).abs() < 1e-9);
        assert!((y[1][[0, c, 0, 0]] - variance).abs() < 1e-9);
        let square: f64 = channel.iter().map(|v| v * v).sum();
        assert!((y[2][[0, c, 0, 0]] / square - 1.0).abs() < 1e-9);
    }
}

#[test]
fn norms_along_an_axis_and_of_neighbouring_channels() {
    let x = numbers(&[3, 5, 2], 15);
    let mut zero = x.clone();
    zero.index_axis_mut(Axis(0), 1).fill(0.0);
    let y = eval(&[x.clone(), zero], |g, e| {
        Ok(vec![
            lp_norm(g, e[0], 1, 2)?,
            lp_norm(g, e[0], 1, 1)?,
            lp_norm(g, e[1], 1, 2)?,
            lp_norm(g, e[1], 1, 1)?,
            local_response_norm(g, e[0], 4, (0.5, 0.75, 2.0))?,
            mean_variance_norm(g, e[0], &[0, 2])?,
        ])
    });
    let norm = |p: i32| {
        ArrayD::from_shape_fn(x.raw_dim(), |at| {
            let sum: f64 = (0..5).map(|c| x[[at[0], c, at[2]]].abs().powi(p)).sum();
            x[&at] / sum.powf(1.0 / f64::from(p))
        })
    };
    assert_close(&y[0], &norm(2), 1e-5);
    assert_close(&y[1], &norm(1), 1e-5);
    for y in &y[2..4] {
        assert!(y.index_axis(Axis(0), 1).iter().all(|&v| v == 0.0));
    }
    let want = ArrayD::from_shape_fn(x.raw_dim(), |at| {
        // One channel before, two after.
        let window = at[1].saturating_sub(1)..(at[1] + 3).min(5);
        let sum: f64 = window.map(|c| x[[at[0], c, at[2]]].powi(2)).sum();
        x[&at] / (2.0 + 0.5 / 4.0 * sum).powf(0.75)
    });
    assert_close(&y[4], &want, 1e-5);
    assert_close(&y[5], &normalised(&x, 0.0, |a, o| a[1] == o[1]), 1e-5);
}

#[test]
fn misfits_are_refused() {
    let mut g = Graph::new();
    let (x, s) = (g.input(&[2, 6, 4]), g.input(&[5]));
    let empty = g.input(&[2, 0]);
    assert!(group_norm(&mut g, x, s, s, 4, 0.0).is_err());
    assert!(group_norm(&mut g, x, s, s, 0, 0.0).is_err());
    assert!(group_norm(&mut g, x, s, s, 3, 0.0).is_err());
    assert!(layer_norm(&mut g, empty, s, None, 1, 0.0).is_err());
    assert!(lp_norm(&mut g, x, 3, 2).is_err());
    assert!(lp_norm(&mut g, x, 1, 3).is_err());
    assert!(local_response_norm(&mut g, s, 3, (1.0, 0.5, 1.0)).is_err());
}
