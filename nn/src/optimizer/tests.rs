//! Every optimizer against its definition in double precision.

use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::{Engine, Plain, Ring, gradients, run};

const STEPS_PER_EPOCH: usize = 10;
const EPOCHS: usize = 6;

/// Σ aₖ·(wₖ - bₖ)²: bowls of different steepness.
const STEEPNESS: [f64; 5] = [0.01, 0.05, 0.1, 0.25, 0.5];
const BOTTOM: [f64; 5] = [1.0, -0.5, 0.25, 2.0, -1.0];
const START: [f64; 5] = [0.0, 0.5, -1.0, 1.5, 1.0];

fn vector(x: &[f64]) -> ArrayD<f64> {
    ArrayD::from_shape_fn(IxDyn(&[x.len()]), |i| x[i[0]])
}

fn clock(step: usize) -> Clock {
    Clock {
        step,
        steps_per_epoch: STEPS_PER_EPOCH,
        epochs: EPOCHS,
    }
}

/// The parameters after all steps, by the graph on an engine.
fn descend<E: Engine>(
    e: &mut E,
    optimizer: &Optimizer,
    decode: impl Fn(&E, &E::Value) -> ArrayD<f64>,
) -> Vec<f64> {
    optimizer.validate().unwrap();
    let n = START.len();
    let mut g = Graph::new();
    let master = g.input(&[n]);
    let slots: Vec<_> = (0..optimizer.slots()).map(|_| g.input(&[n])).collect();
    let count = optimizer.factors(clock(0)).unwrap().len();
    let factors: Vec<_> = (0..count).map(|_| g.input(&[1])).collect();
    let w = parameters(&mut g, master).unwrap();
    let (a, b) = (g.public(vector(&STEEPNESS)), g.public(vector(&BOTTOM)));
    let apart = g.sub(w, b).unwrap();
    let square = g.mul(apart, apart).unwrap();
    let weighted = g.mul(square, a).unwrap();
    let loss = g.sum(weighted, 0).unwrap();
    let loss = g.scale(loss, optimizer.loss_scale()).unwrap();
    let dw = gradients(&mut g, loss, &[w]).unwrap()[0];
    let step = Step {
        master,
        slots: &slots,
        factors: &factors,
    };
    let (next, kept) = optimizer.step(&mut g, &step, dw).unwrap();
    [next].into_iter().chain(kept).for_each(|x| g.output(x));

    let mut state = vec![e.public(&super::master(&vector(&START))).unwrap()];
    for _ in 0..optimizer.slots() {
        state.push(e.public(&vector(&[0.0; 5])).unwrap());
    }
    for step in 0..STEPS_PER_EPOCH * EPOCHS {
        let factors = optimizer.factors(clock(step)).unwrap();
        state.extend(factors.iter().map(|&f| e.public(&vector(&[f])).unwrap()));
        state = run(&g, e, &state).unwrap();
    }
    let scale = MASTER_SCALE as f64;
    decode(e, &state[0]).iter().map(|w| w / scale).collect()
}

/// The same by the textbook, parameter by parameter.
fn textbook(optimizer: &Optimizer) -> Vec<f64> {
    let mut w = START;
    let (mut m, mut v, mut most) = ([0.0; 5], [0.0; 5], [0.0f64; 5]);
    for step in 0..STEPS_PER_EPOCH * EPOCHS {
        let rate = optimizer.rate.base * optimizer.rate.factor(clock(step));
        let mut g: Vec<f64> = (0..5)
            .map(|k| 2.0 * STEEPNESS[k] * (w[k] - BOTTOM[k]))
            .collect();
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let shorten = optimizer
            .clip_norm
            .map_or(1.0, |most| (most / norm).min(1.0));
        g.iter_mut().for_each(|g| *g *= shorten);
        for k in 0..5 {
            match optimizer.rule {
                Rule::Sgd { momentum, nesterov } => {
                    let g = g[k] + optimizer.weight_decay * w[k];
                    m[k] = momentum * m[k] + g;
                    w[k] -= rate * if nesterov { g + momentum * m[k] } else { m[k] };
                }
                Rule::Adam {
                    beta1,
                    beta2,
                    amsgrad,
                    decoupled,
                    ..
                } => {
                    let t = (step + 1) as i32;
                    let coupled = if decoupled {
                        0.0
                    } else {
                        optimizer.weight_decay
                    };
                    let g = g[k] + coupled * w[k];
                    if decoupled {
                        w[k] -= rate * optimizer.weight_decay * w[k];
                    }
                    m[k] = beta1 * m[k] + (1.0 - beta1) * g;
                    v[k] = beta2 * v[k] + (1.0 - beta2) * g * g;
                    most[k] = most[k].max(v[k]);
                    let v = if amsgrad { most[k] } else { v[k] };
                    let unbiased = |x: f64, beta: f64| x / (1.0 - beta.powi(t));
                    w[k] -= rate * unbiased(m[k], beta1) / (unbiased(v, beta2).sqrt() + 1e-8);
                }
            }
        }
    }
    w.to_vec()
}

/// Plain must give what the textbook gives, and the ring too, but for its last places.
fn check(name: &str, optimizer: &Optimizer) {
    let want = textbook(optimizer);
    assert!((want[3] - START[3]).abs() > 0.05, "{name} stands still");
    let plain = descend(&mut Plain, optimizer, |_, v| v.mapv(f64::from));
    let ring = descend(&mut Ring::new(18), optimizer, |e, v| e.decode(v));
    println!("{name}\n want {want:.6?}\n plain {plain:.6?}\n ring {ring:.6?}");
    // Adam's ε is larger than that of the textbook, and a large sum of squares leaves few bits of its inverse root.
    let adaptive = matches!(optimizer.rule, Rule::Adam { .. });
    let (most_plain, most_ring) = if adaptive { (1e-3, 5e-3) } else { (2e-6, 3e-4) };
    for k in 0..5 {
        assert!((plain[k] - want[k]).abs() < most_plain, "{name} plain {k}");
        assert!((ring[k] - want[k]).abs() < most_ring, "{name} ring {k}");
    }
}

/// Adam with decays that twelve bits hold, so that the textbook needs no allowance.
fn adam(amsgrad: bool, decoupled: bool) -> Optimizer {
    Optimizer {
        rule: Rule::Adam {
            beta1: 0.875,
            beta2: 1.0 - 2f64.powi(-10),
            epsilon: 2f64.powi(-15),
            amsgrad,
            decoupled,
        },
        ..Optimizer::adam(0.0625)
    }
}

#[test]
fn gradient_descent_in_all_its_forms() {
    let nesterov = Optimizer {
        rule: Rule::Sgd {
            momentum: 0.75,
            nesterov: true,
        },
        ..Optimizer::sgd(0.0625, 0.75)
    };
    check("sgd", &Optimizer::sgd(0.0625, 0.0));
    check("momentum", &Optimizer::sgd(0.0625, 0.75));
    check("nesterov", &nesterov);
    check(
        "decay",
        &Optimizer {
            weight_decay: 0.125,
            ..nesterov
        },
    );
}

#[test]
fn adam_in_all_its_forms() {
    check("adam", &adam(false, false));
    check("amsgrad", &adam(true, false));
    let decay = |optimizer: Optimizer| Optimizer {
        weight_decay: 0.125,
        ..optimizer
    };
    check("adam with decay", &decay(adam(false, false)));
    check("adamw", &decay(adam(false, true)));
}

#[test]
fn schedules_multiply_the_step_size() {
    let schedules = [
        Schedule::Step {
            epochs: 2,
            factor: 0.5,
        },
        Schedule::Exponential { factor: 0.8 },
        Schedule::Cosine,
    ];
    for schedule in schedules {
        let rate = LearningRate {
            base: 0.0625,
            schedule,
            warmup_steps: 7,
        };
        // Without momentum: the velocity of the textbook does not know the step size, as ours does not the schedule.
        let scheduled = |optimizer: Optimizer| Optimizer { rate, ..optimizer };
        check("sgd", &scheduled(Optimizer::sgd(0.0625, 0.75)));
        let adamw = Optimizer {
            weight_decay: 0.125,
            ..adam(false, true)
        };
        check("adamw", &scheduled(adamw));
    }
}

#[test]
fn long_gradients_are_shortened_and_short_ones_kept() {
    // The norm at the start is 2.0.
    for norm in [0.25, 1.0, 4.0] {
        let clipped = |optimizer: Optimizer| Optimizer {
            clip_norm: Some(norm),
            ..optimizer
        };
        check("sgd", &clipped(Optimizer::sgd(0.0625, 0.75)));
        check("adam", &clipped(adam(false, false)));
    }
}

/// Steps of 2^-24 a piece, far below the last place of a weight, add up.
#[test]
fn small_steps_are_not_lost() {
    let mut g = Graph::new();
    let master = g.input(&[1]);
    let slope = g.input(&[1]);
    let sgd = Optimizer::sgd(2f64.powi(-14), 0.0);
    let dw = g.scale(slope, sgd.loss_scale()).unwrap();
    let step = Step {
        master,
        slots: &[],
        factors: &[],
    };
    let (next, _) = sgd.step(&mut g, &step, dw).unwrap();
    let w = parameters(&mut g, next).unwrap();
    g.output(next);
    g.output(w);
    let mut ring = Ring::new(18);
    let slope = ring.public(&vector(&[2f64.powi(-10)])).unwrap();
    let mut held = ring.public(&vector(&[0.5 * MASTER_SCALE as f64])).unwrap();
    for _ in 0..1024 {
        held = run(&g, &mut ring, &[held, slope.clone()])
            .unwrap()
            .remove(0);
    }
    let w = run(&g, &mut ring, &[held, slope]).unwrap().remove(1);
    let moved = 0.5 - ring.decode(&w)[0];
    assert!(
        (moved - 2f64.powi(-14)).abs() < 2f64.powi(-17),
        "moved {moved}"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |optimizer: Optimizer, want: &str| {
        let error = optimizer.validate().unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    };
    let sgd = Optimizer::sgd(0.1, 0.9);
    sgd.validate().unwrap();
    Optimizer::adam(0.001).validate().unwrap();
    let lookahead = Rule::Sgd {
        momentum: 0.0,
        nesterov: true,
    };
    refused(
        Optimizer {
            rule: lookahead,
            ..sgd
        },
        "nesterov",
    );
    refused(
        Optimizer {
            weight_decay: -1.0,
            ..sgd
        },
        "weight_decay",
    );
    refused(
        Optimizer {
            clip_norm: Some(0.0),
            ..sgd
        },
        "clip_norm",
    );
    refused(
        Optimizer {
            clip_norm: Some(f64::NAN),
            ..sgd
        },
        "clip_norm",
    );
    let odd = |beta1, beta2, epsilon| Optimizer {
        rule: Rule::Adam {
            beta1,
            beta2,
            epsilon,
            amsgrad: false,
            decoupled: false,
        },
        ..Optimizer::adam(0.001)
    };
    refused(odd(1.0, 0.999, 1e-4), "beta1");
    refused(odd(0.9, 0.99999, 1e-4), "beta2");
    refused(odd(0.9, 0.999, 1e-8), "epsilon");
    let mut g = Graph::new();
    let w = g.input(&[1]);
    let bare = Step {
        master: w,
        slots: &[],
        factors: &[],
    };
    assert!(sgd.step(&mut g, &bare, w).is_err());
}
