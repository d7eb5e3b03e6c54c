use ndarray::ArrayD;

use super::*;
use crate::layers::testing::{assert_close, eval, numbers};

const LENGTH: usize = 5;
const BATCH: usize = 3;
const INPUTS: usize = 2;
const HIDDEN: usize = 4;

/// The tensors of a layer, in the order w, r, bias, h, c, peepholes.
fn tensors(kind: Kind, directions: usize) -> Vec<ArrayD<f64>> {
    let n = kind.gates() * HIDDEN;
    let d = directions;
    [
        (vec![d, n, INPUTS], 1),
        (vec![d, n, HIDDEN], 2),
        (vec![d, 2 * n], 3),
        (vec![d, BATCH, HIDDEN], 4),
        (vec![d, BATCH, HIDDEN], 5),
        (vec![d, 3 * HIDDEN], 6),
    ]
    .iter()
    .map(|(shape, seed)| numbers(shape, *seed))
    .collect()
}

fn scalar(f: Activation, x: f64) -> f64 {
    match f {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Affine(a, b) => a * x + b,
        Activation::LeakyRelu(a) => {
            if x < 0.0 {
                a * x
            } else {
                x
            }
        }
        Activation::ThresholdedRelu(a) => {
            if x > a {
                x
            } else {
                0.0
            }
        }
        Activation::ScaledTanh(a, b) => a * (b * x).tanh(),
        Activation::HardSigmoid(a, b) => (a * x + b).clamp(0.0, 1.0),
        Activation::Elu(a) => {
            if x < 0.0 {
                a * x.exp_m1()
            } else {
                x
            }
        }
        Activation::Softsign => x / (1.0 + x.abs()),
        Activation::Softplus => x.exp().ln_1p(),
    }
}

/// One sequence in one direction, unit by unit; the states after each step, and the last cell.
fn by_definition(
    x: &ArrayD<f64>,
    t: &[ArrayD<f64>],
    how: &Recurrent,
    (d, b): (usize, usize),
    peepholes: bool,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let length = how.lengths.as_ref().map_or(LENGTH, |l| l[b]);
    let mut h: Vec<f64> = (0..HIDDEN).map(|u| t[3][[d, b, u]]).collect();
    let mut c: Vec<f64> = (0..HIDDEN).map(|u| t[4][[d, b, u]]).collect();
    let each = how.kind.activations().len();
    let act = |k: usize, z: f64| {
        let z = how.clip.map_or(z, |c| z.clamp(-c, c));
        scalar(how.activations[d * each + k], z)
    };
    // The cell is shown without being cut.
    let show = |z: f64| scalar(how.activations[d * each + 2], z);
    let n = how.kind.gates() * HIDDEN;
    let mut states = Vec::new();
    for step in 0..length {
        let time = if how.reverse[d] {
            length - 1 - step
        } else {
            step
        };
        let input = |gate: usize, u: usize| -> f64 {
            let row = gate * HIDDEN + u;
            let sum: f64 = (0..INPUTS)
                .map(|i| x[[time, b, i]] * t[0][[d, row, i]])
                .sum();
            sum + t[2][[d, row]]
        };
        let state = |gate: usize, u: usize, h: &[f64]| -> f64 {
            let row = gate * HIDDEN + u;
            let sum: f64 = (0..HIDDEN).map(|j| h[j] * t[1][[d, row, j]]).sum();
            sum + t[2][[d, n + row]]
        };
        let old = h.clone();
        let peek = |which: usize, u: usize, c: f64| {
            if peepholes {
                t[5][[d, which * HIDDEN + u]] * c
            } else {
                0.0
            }
        };
        match how.kind {
            Kind::Rnn => {
                h = (0..HIDDEN)
                    .map(|u| act(0, input(0, u) + state(0, u, &old)))
                    .collect();
            }
            Kind::Gru {
                linear_before_reset,
            } => {
                let gate = |k: usize, u: usize| act(0, input(k, u) + state(k, u, &old));
                let reset: Vec<f64> = (0..HIDDEN).map(|u| gate(1, u) * old[u]).collect();
                h = (0..HIDDEN)
                    .map(|u| {
                        let candidate = if linear_before_reset {
                            act(1, input(2, u) + gate(1, u) * state(2, u, &old))
                        } else {
                            act(1, input(2, u) + state(2, u, &reset))
                        };
                        let z = gate(0, u);
                        (1.0 - z) * candidate + z * old[u]
                    })
                    .collect();
            }
            Kind::Lstm { input_forget } => {
                for u in 0..HIDDEN {
                    let z = |k: usize| input(k, u) + state(k, u, &old);
                    let i = act(0, z(0) + peek(0, u, c[u]));
                    let f = if input_forget {
                        1.0 - i
                    } else {
                        act(0, z(2) + peek(2, u, c[u]))
                    };
                    c[u] = f * c[u] + i * act(1, z(3));
                    let o = act(0, z(1) + peek(1, u, c[u]));
                    h[u] = o * show(c[u]);
                }
            }
        }
        states.push(h.clone());
    }
    (states, c)
}

fn layer(kind: Kind, reverse: &[bool]) -> Recurrent {
    Recurrent {
        kind,
        reverse: reverse.to_vec(),
        activations: kind.activations().repeat(reverse.len()),
        clip: None,
        lengths: None,
    }
}

/// `given`: whether bias, first state and first cell, and peepholes are there.
fn check(how: &Recurrent, given: [bool; 3]) {
    let d = how.reverse.len();
    let x = numbers(&[LENGTH, BATCH, INPUTS], 7);
    let mut t = tensors(how.kind, d);
    for (k, part) in [(2, 0), (3, 1), (4, 1)] {
        if !given[part] {
            t[k].fill(0.0);
        }
    }
    let inputs = [std::slice::from_ref(&x), &t[..]].concat();
    let lstm = matches!(how.kind, Kind::Lstm { .. });
    let y = eval(&inputs, |g, e| {
        let s = recurrent(
            g,
            e[0],
            &Weights {
                w: e[1],
                r: e[2],
                bias: given[0].then_some(e[3]),
                h: given[1].then_some(e[4]),
                c: (lstm && given[1]).then_some(e[5]),
                peepholes: given[2].then_some(e[6]),
            },
            how,
        )?;
        Ok([Some(s.y), Some(s.h), s.c].into_iter().flatten().collect())
    });
    let mut want_y = ArrayD::zeros(vec![LENGTH, d, BATCH, HIDDEN]);
    let mut want_h = t[3].clone();
    let mut want_c = t[4].clone();
    for (k, b) in (0..d).flat_map(|k| (0..BATCH).map(move |b| (k, b))) {
        let (states, cell) = by_definition(&x, &t, how, (k, b), given[2]);
        for (step, h) in states.iter().enumerate() {
            let time = if how.reverse[k] {
                states.len() - 1 - step
            } else {
                step
            };
            for u in 0..HIDDEN {
                want_y[[time, k, b, u]] = h[u];
                want_h[[k, b, u]] = h[u];
                want_c[[k, b, u]] = cell[u];
            }
        }
    }
    assert_close(&y[0], &want_y, 1e-5);
    assert_close(&y[1], &want_h, 1e-5);
    if lstm {
        assert_close(&y[2], &want_c, 1e-5);
    }
}

const LSTM: Kind = Kind::Lstm {
    input_forget: false,
};

#[test]
fn every_recurrence_follows_its_definition() {
    for kind in [
        Kind::Rnn,
        Kind::Gru {
            linear_before_reset: false,
        },
        Kind::Gru {
            linear_before_reset: true,
        },
        LSTM,
        Kind::Lstm { input_forget: true },
    ] {
        for reverse in [&[false][..], &[true], &[false, true]] {
            for given in [
                [false, false, false],
                [true, true, false],
                [true, false, false],
            ] {
                check(&layer(kind, reverse), given);
            }
        }
    }
}

#[test]
fn the_cell_is_seen_through_peepholes() {
    check(&layer(LSTM, &[false, true]), [true, true, true]);
    check(&layer(LSTM, &[false]), [true, false, true]);
    let how = Recurrent {
        clip: Some(0.4),
        ..layer(LSTM, &[true])
    };
    check(&how, [true, true, true]);
}

#[test]
fn sequences_end_where_they_are_told() {
    for kind in [
        Kind::Rnn,
        Kind::Gru {
            linear_before_reset: true,
        },
        LSTM,
    ] {
        for lengths in [[5, 2, 4], [0, 3, 1]] {
            let how = Recurrent {
                lengths: Some(lengths.to_vec()),
                ..layer(kind, &[false, true])
            };
            check(&how, [true, true, false]);
            check(&how, [true, false, false]);
        }
    }
}

#[test]
fn directions_may_have_activations_of_their_own() {
    use Activation::{
        Affine, Elu, HardSigmoid, LeakyRelu, Relu, ScaledTanh, Sigmoid, Softsign, Tanh,
    };
    let how = Recurrent {
        activations: vec![
            HardSigmoid(0.2, 0.5),
            Tanh,
            ScaledTanh(1.5, 0.7),
            Sigmoid,
            Softsign,
            Elu(0.5),
        ],
        clip: Some(0.6),
        ..layer(LSTM, &[false, true])
    };
    check(&how, [true, true, false]);
    for activation in [
        Relu,
        LeakyRelu(0.1),
        Affine(0.5, 0.1),
        Activation::ThresholdedRelu(0.2),
    ] {
        let how = Recurrent {
            activations: vec![activation],
            ..layer(Kind::Rnn, &[false])
        };
        check(&how, [true, true, false]);
    }
    assert_eq!(
        Activation::named("LeakyRelu", None, None).unwrap(),
        LeakyRelu(0.01)
    );
    assert!(Activation::named("Cube", None, None).is_err());
}

#[test]
fn misfits_are_refused() {
    let mut g = Graph::new();
    let x = g.input(&[LENGTH, BATCH, INPUTS]);
    let t: Vec<Edge> = tensors(LSTM, 1)
        .iter()
        .map(|t| g.input(t.shape()))
        .collect();
    let weights = Weights {
        w: t[0],
        r: t[1],
        bias: Some(t[2]),
        h: None,
        c: None,
        peepholes: None,
    };
    let how = layer(LSTM, &[false]);
    assert!(recurrent(&mut g, x, &weights, &how).is_ok());
    let swapped = Weights { w: t[1], ..weights };
    assert!(recurrent(&mut g, x, &swapped, &how).is_err());
    assert!(recurrent(&mut g, x, &weights, &layer(Kind::Rnn, &[false])).is_err());
    assert!(recurrent(&mut g, x, &weights, &layer(LSTM, &[false, true])).is_err());
    assert!(recurrent(&mut g, t[4], &weights, &how).is_err());
    for lengths in [vec![6, 1, 1], vec![1, 1]] {
        let how = Recurrent {
            lengths: Some(lengths),
            ..how.clone()
        };
        assert!(recurrent(&mut g, x, &weights, &how).is_err());
    }
}
