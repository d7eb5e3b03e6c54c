use ndarray::ArrayD;

use super::*;
use crate::layers::testing::{assert_close, eval, numbers};

const PLAIN: Attention = Attention {
    scale: None,
    softcap: 0.0,
};

/// Attention entry by entry; `bias` is what is added to the score, −∞ where a key is hidden.
fn by_definition(
    (q, k, v): (&ArrayD<f64>, &ArrayD<f64>, &ArrayD<f64>),
    how: &Attention,
    bias: impl Fn([usize; 4]) -> f64,
) -> (ArrayD<f64>, ArrayD<f64>) {
    let (qs, ks, vs) = (q.shape(), k.shape(), v.shape());
    let share = qs[1] / ks[1];
    let mut p = ArrayD::zeros(vec![qs[0], qs[1], qs[2], ks[2]]);
    let mut y = ArrayD::zeros(vec![qs[0], qs[1], qs[2], vs[3]]);
    for (b, h, i) in ndarray::indices((qs[0], qs[1], qs[2])) {
        let score = |j: usize| {
            let dot: f64 = (0..qs[3])
                .map(|d| q[[b, h, i, d]] * k[[b, h / share, j, d]])
                .sum();
            let s = dot * how.scale.unwrap_or_else(|| 1.0 / (qs[3] as f64).sqrt());
            let s = if how.softcap > 0.0 {
                how.softcap * (s / how.softcap).tanh()
            } else {
                s
            };
            s + bias([b, h, i, j])
        };
        let e: Vec<f64> = (0..ks[2]).map(|j| score(j).exp()).collect();
        let sum: f64 = e.iter().sum();
        for (j, e) in e.iter().enumerate().filter(|_| sum > 0.0) {
            p[[b, h, i, j]] = e / sum;
            for d in 0..vs[3] {
                y[[b, h, i, d]] += e / sum * v[[b, h / share, j, d]];
            }
        }
    }
    (y, p)
}

fn operands() -> [ArrayD<f64>; 3] {
    [
        numbers(&[2, 4, 3, 5], 1).mapv(|v| 2.0 * v),
        numbers(&[2, 2, 6, 5], 2),
        numbers(&[2, 2, 6, 3], 3),
    ]
}

fn check(visible: &Visible, how: &Attention, bias: impl Fn([usize; 4]) -> f64) {
    let xs = operands();
    let y = eval(&xs, |g, e| {
        let a = attention(g, (e[0], e[1], e[2]), visible, None, how)?;
        Ok(vec![a.y, a.weights])
    });
    let (want, p) = by_definition((&xs[0], &xs[1], &xs[2]), how, bias);
    assert_close(&y[0], &want, 1e-5);
    assert_close(&y[1], &p, 1e-5);
}

fn unless(hidden: bool) -> f64 {
    if hidden { f64::NEG_INFINITY } else { 0.0 }
}

#[test]
fn heads_share_keys_and_scores_are_scaled_and_capped() {
    let all = Visible::default();
    check(&all, &PLAIN, |_| 0.0);
    let how = Attention {
        scale: Some(0.3),
        softcap: 0.7,
    };
    check(&all, &how, |_| 0.0);
}

#[test]
fn rules_hide_keys_and_rows_without_keys_are_zero() {
    let causal = Visible {
        causal: true,
        past: 2,
        ..Visible::default()
    };
    check(&causal, &PLAIN, |[_, _, i, j]| unless(j > i + 2));
    let window = Visible {
        window: (Some(1), Some(2)),
        ..Visible::default()
    };
    check(&window, &PLAIN, |[_, _, i, j]| {
        unless(j + 1 < i || j > i + 2)
    });
    // One key of three queries: the first two stand before any key.
    let padded = Visible {
        causal: true,
        lengths: Some(vec![1, 5]),
        ..Visible::default()
    };
    check(&padded, &PLAIN, |[b, _, i, j]| {
        let n = [1, 5][b];
        unless(j >= n || j + 3 > i + n)
    });
}

#[test]
fn public_masks_broadcast_and_short_ones_hide_the_rest() {
    let seen = ArrayD::from_shape_fn(vec![2, 1, 3, 6], |at| {
        at[2] != 1 && (at[0] + at[3]) % 3 != 0
    });
    let visible = Visible {
        causal: true,
        past: 3,
        mask: Some(PublicMask::Seen(seen.clone())),
        ..Visible::default()
    };
    check(&visible, &PLAIN, |[b, _, i, j]| {
        unless(!seen[[b, 0, i, j]] || j > i + 3)
    });
    let mut bias = numbers(&[3, 4], 4);
    bias[[1, 2]] = f64::NEG_INFINITY;
    let visible = Visible {
        mask: Some(PublicMask::Bias(bias.clone())),
        ..Visible::default()
    };
    check(&visible, &PLAIN, |[_, _, i, j]| {
        if j < 4 {
            bias[[i, j]]
        } else {
            f64::NEG_INFINITY
        }
    });
}

#[test]
fn private_masks_act_as_public_ones() {
    let xs = operands();
    let seen = ArrayD::from_shape_fn(vec![3, 6], |at| {
        f64::from(u8::from(at[0] != 1 && at[1] != 4))
    });
    let bias = numbers(&[3, 6], 5);
    let inputs = [&xs[..], &[seen.clone(), bias.clone()]].concat();
    let y = eval(&inputs, |g, e| {
        let mut run = |mask| {
            let qkv = (e[0], e[1], e[2]);
            Ok(attention(g, qkv, &Visible::default(), Some(mask), &PLAIN)?.y)
        };
        Ok(vec![
            run(PrivateMask::Seen(e[3]))?,
            run(PrivateMask::Bias(e[4]))?,
        ])
    });
    let qkv = (&xs[0], &xs[1], &xs[2]);
    let (want, _) = by_definition(qkv, &PLAIN, |[_, _, i, j]| unless(seen[[i, j]] == 0.0));
    assert_close(&y[0], &want, 1e-5);
    let (want, _) = by_definition(qkv, &PLAIN, |[_, _, i, j]| bias[[i, j]]);
    assert_close(&y[1], &want, 1e-5);
}

#[test]
fn misfits_are_refused() {
    let mut g = Graph::new();
    let q = g.input(&[1, 4, 3, 5]);
    let (k, odd, v) = (
        g.input(&[1, 2, 6, 5]),
        g.input(&[1, 3, 6, 5]),
        g.input(&[1, 2, 6, 3]),
    );
    let mut run = |k, v, visible: &Visible| attention(&mut g, (q, k, v), visible, None, &PLAIN);
    let all = Visible::default();
    assert!(run(k, v, &all).is_ok());
    assert!(run(odd, odd, &all).is_err());
    assert!(run(v, v, &all).is_err());
    for visible in [
        Visible {
            lengths: Some(vec![7]),
            ..all.clone()
        },
        Visible {
            lengths: Some(vec![1, 1]),
            ..all.clone()
        },
        Visible {
            mask: Some(PublicMask::Seen(ArrayD::from_elem(vec![7], true))),
            ..all.clone()
        },
        Visible {
            mask: Some(PublicMask::Bias(ArrayD::from_elem(vec![2, 6], 0.0))),
            ..all
        },
    ] {
        assert!(run(k, v, &visible).is_err(), "{visible:?}");
    }
}
