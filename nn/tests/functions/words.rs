//! The words on single entries, with what they must compute.

use tacit_nn::{Edge, Graph, Result};

/// One word of the graph's vocabulary.
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) arity: usize,
    pub(crate) build: fn(&mut Graph, &[Edge]) -> Result<Edge>,
    /// The same in double precision.
    pub(crate) want: fn(&[f64]) -> f64,
    /// The operands, entry by entry.
    pub(crate) grid: fn() -> Vec<Vec<f64>>,
    /// The error allowed: so many units of the last place, or this part of the value.
    pub(crate) units: f64,
    pub(crate) relative: f64,
    /// Where the derivative is checked.
    pub(crate) points: &'static [[f64; 3]],
}

/// Away from kinks and steps.
const POINTS: &[[f64; 3]] = &[
    [-2.3, 0.7, 0.4],
    [-1.1, -1.6, 0.3],
    [-0.4, 2.2, -0.8],
    [0.3, 0.9, 0.6],
    [0.7, -0.45, 1.4],
    [1.9, 1.2, -2.1],
];
const POSITIVE: &[[f64; 3]] = &[
    [0.3, -1.7, 0.0],
    [0.8, 0.6, 0.0],
    [1.7, 1.3, 0.0],
    [9.5, 0.4, 0.0],
];
/// The relative error allowed, unless a word says otherwise.
const RELATIVE: f64 = 1.0 / 4096.0;

fn line(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    (0..n)
        .map(|k| lo + (hi - lo) * k as f64 / (n - 1) as f64)
        .collect()
}

/// 2^lo to 2^hi, equally far apart on a logarithmic scale.
fn binades(lo: f64, hi: f64) -> Vec<f64> {
    line(lo, hi, 4001).into_iter().map(f64::exp2).collect()
}

/// All that a number may be, up to 2^20.
fn anything() -> Vec<Vec<f64>> {
    let most = 2f64.powi(20);
    let mut x = [line(-20.0, 20.0, 20_001), line(-most, most, 2001)].concat();
    x.extend(binades(-18.0, 20.0));
    x.extend(binades(-18.0, 20.0).iter().map(|x| -x));
    // Around the ends of tables and clamps.
    for end in [3.0, 4.0, 5.5, 6.0, 8.0, 10.0, 16.0, 18.0, 200.0] {
        x.extend((-3..=3).map(|k| end + f64::from(k) * 2f64.powi(-18)));
        x.extend((-3..=3).map(|k| -end + f64::from(k) * 2f64.powi(-18)));
    }
    vec![x]
}

fn halves() -> Vec<Vec<f64>> {
    let mut x = line(-8.0, 8.0, 65);
    x.extend(anything().remove(0));
    vec![x]
}

fn below_one() -> Vec<Vec<f64>> {
    vec![anything()[0].iter().map(|x| x.min(0.99)).collect()]
}

fn exponents() -> Vec<Vec<f64>> {
    vec![[line(-40.0, 11.98, 10_001), line(-1e6, -16.0, 101)].concat()]
}

fn narrow_exponents() -> Vec<Vec<f64>> {
    vec![line(-16.0, 11.999, 10_001)]
}

fn positive() -> Vec<Vec<f64>> {
    vec![binades(-18.0, 20.0)]
}

fn for_logarithms() -> Vec<Vec<f64>> {
    vec![binades(-17.0, 20.0)]
}

fn either_sign(lo: f64, hi: f64) -> Vec<Vec<f64>> {
    let mut x = binades(lo, hi);
    x.extend(binades(lo, hi).iter().map(|x| -x));
    vec![x]
}

fn denominators() -> Vec<Vec<f64>> {
    either_sign(-14.0, 20.0)
}

fn moderate() -> Vec<Vec<f64>> {
    either_sign(-12.0, 6.0)
}

/// All pairs.
fn pairs(x: &[f64], y: &[f64]) -> Vec<Vec<f64>> {
    let all = x.iter().flat_map(|&x| y.iter().map(move |&y| [x, y]));
    let (x, y) = all.map(|[x, y]| (x, y)).unzip();
    vec![x, y]
}

fn sparse(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    let x: Vec<f64> = line(lo, hi, n).into_iter().map(f64::exp2).collect();
    x.iter()
        .copied()
        .chain([0.0])
        .chain(x.iter().map(|x| -x))
        .collect()
}

fn two() -> Vec<Vec<f64>> {
    let x = sparse(-18.0, 20.0, 39);
    pairs(&x, &x)
}

fn two_factors() -> Vec<Vec<f64>> {
    let x = sparse(-10.0, 10.0, 39);
    pairs(&x, &x)
}

fn far_apart() -> Vec<Vec<f64>> {
    let x = sparse(-18.0, 42.9, 51);
    pairs(&x, &x)
}

fn quotients() -> Vec<Vec<f64>> {
    let (x, y) = (sparse(-18.0, 20.0, 96), sparse(-14.0, 17.0, 97));
    let mut all = pairs(&x, &y);
    let fits: Vec<bool> = all[0]
        .iter()
        .zip(&all[1])
        .map(|(x, y)| {
            *y != 0.0
                && (x / y).abs()
                    < if y.abs() < 64.0 {
                        2f64.powi(26)
                    } else {
                        2f64.powi(14)
                    }
        })
        .collect();
    for column in &mut all {
        let mut keep = fits.iter();
        column.retain(|_| *keep.next().unwrap());
    }
    all
}

fn powers() -> Vec<Vec<f64>> {
    pairs(
        &line(-6.0, 6.0, 97)
            .iter()
            .map(|x| x.exp2())
            .collect::<Vec<_>>(),
        &line(-2.5, 2.5, 41),
    )
}

fn bits() -> Vec<Vec<f64>> {
    vec![vec![0.0, 1.0]]
}

fn truth() -> Vec<Vec<f64>> {
    pairs(&[0.0, 1.0], &[0.0, 1.0])
}

/// A condition, and two operands.
fn choices() -> Vec<Vec<f64>> {
    let x = sparse(-18.0, 20.0, 12);
    let mut all = pairs(&x, &x);
    let n = all[0].len();
    let conditions = (0..n).map(|k| ((k * 7) % 3 % 2) as f64).collect();
    all.insert(0, conditions);
    all
}

fn bit(b: bool) -> f64 {
    f64::from(u8::from(b))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// A word of one operand.
const fn one(
    name: &'static str,
    build: fn(&mut Graph, &[Edge]) -> Result<Edge>,
    want: fn(&[f64]) -> f64,
    units: f64,
) -> Word {
    Word {
        name,
        arity: 1,
        build,
        want,
        grid: anything,
        units,
        relative: RELATIVE,
        points: POINTS,
    }
}

const fn both(
    name: &'static str,
    build: fn(&mut Graph, &[Edge]) -> Result<Edge>,
    want: fn(&[f64]) -> f64,
    units: f64,
) -> Word {
    Word {
        arity: 2,
        grid: two,
        ..one(name, build, want, units)
    }
}

const EXACT: f64 = 0.25;

pub(crate) const WORDS: &[Word] = &[
    one("neg", |g, x| g.neg(x[0]), |x| -x[0], EXACT),
    one("abs", |g, x| g.abs(x[0]), |x| x[0].abs(), EXACT),
    one(
        "sign",
        |g, x| g.sign(x[0]),
        |x| if x[0] == 0.0 { 0.0 } else { x[0].signum() },
        EXACT,
    ),
    one("relu", |g, x| g.relu(x[0]), |x| x[0].max(0.0), EXACT),
    one(
        "leaky_relu",
        |g, x| g.leaky_relu(x[0], 0.01),
        |x| if x[0] < 0.0 { 0.01 * x[0] } else { x[0] },
        3.0,
    ),
    both(
        "prelu",
        |g, x| g.prelu(x[0], x[1]),
        |x| if x[0] < 0.0 { x[0] * x[1] } else { x[0] },
        1.0,
    )
    .on(two_factors),
    one(
        "elu",
        |g, x| g.elu(x[0], 1.3),
        |x| {
            if x[0] < 0.0 {
                1.3 * x[0].exp_m1()
            } else {
                x[0]
            }
        },
        4.0,
    ),
    one(
        "selu",
        |g, x| g.selu(x[0], 1.673_263_2, 1.050_701),
        |x| {
            1.050_701
                * if x[0] < 0.0 {
                    1.673_263_2 * x[0].exp_m1()
                } else {
                    x[0]
                }
        },
        4.0,
    ),
    one(
        "celu",
        |g, x| g.celu(x[0], 0.7),
        |x| {
            if x[0] < 0.0 {
                0.7 * (x[0] / 0.7).exp_m1()
            } else {
                x[0]
            }
        },
        4.0,
    ),
    one(
        "thresholded_relu",
        |g, x| g.thresholded_relu(x[0], 1.5),
        |x| if x[0] > 1.5 { x[0] } else { 0.0 },
        EXACT,
    ),
    one(
        "hard_sigmoid",
        |g, x| g.hard_sigmoid(x[0], 0.2, 0.5),
        |x| (0.2 * x[0] + 0.5).clamp(0.0, 1.0),
        2.0,
    ),
    one(
        "hard_swish",
        |g, x| g.hard_swish(x[0]),
        |x| x[0] * (x[0] / 6.0 + 0.5).clamp(0.0, 1.0),
        3.0,
    ),
    one(
        "swish",
        |g, x| g.swish(x[0], 1.0),
        |x| x[0] * sigmoid(x[0]),
        3.0,
    ),
    one(
        "swish of 1.7 x",
        |g, x| g.swish(x[0], 1.702),
        |x| x[0] * sigmoid(1.702 * x[0]),
        5.0,
    ),
    one(
        "mish",
        |g, x| g.mish(x[0]),
        |x| x[0] * softplus(x[0]).tanh(),
        3.0,
    ),
    one("sigmoid", |g, x| g.sigmoid(x[0]), |x| sigmoid(x[0]), 3.0),
    one("softplus", |g, x| g.softplus(x[0]), |x| softplus(x[0]), 3.0),
    one(
        "softsign",
        |g, x| g.softsign(x[0]),
        |x| x[0] / (1.0 + x[0].abs()),
        2.0,
    ),
    one("tanh", |g, x| g.tanh(x[0]), |x| x[0].tanh(), 3.0),
    one(
        "gelu",
        |g, x| g.gelu(x[0]),
        |x| x[0] * 0.5 * libm::erfc(-x[0] / 2f64.sqrt()),
        2.0,
    ),
    one(
        "gelu_tanh",
        |g, x| g.gelu_tanh(x[0]),
        |x| {
            x[0] * sigmoid(
                2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x[0] + 0.044_715 * x[0].powi(3)),
            )
        },
        2.0,
    ),
    one("erf", |g, x| g.erf(x[0]), |x| libm::erf(x[0]), 2.0),
    one("exp", |g, x| g.exp(x[0]), |x| x[0].exp(), 1.0).on(exponents),
    one(
        "exp_negative",
        |g, x| g.exp_negative(x[0]),
        |x| x[0].exp(),
        1.0,
    )
    .on(below_one),
    one("exp_within", |g, x| g.exp_within(x[0]), |x| x[0].exp(), 1.0).on(narrow_exponents),
    one("log", |g, x| g.log(x[0]), |x| x[0].ln(), 2.0)
        .on(for_logarithms)
        .at(POSITIVE),
    one("sqrt", |g, x| g.sqrt(x[0]), |x| x[0].max(0.0).sqrt(), 2.0).at(POSITIVE),
    one("rsqrt", |g, x| g.rsqrt_of(x[0]), |x| 1.0 / x[0].sqrt(), 2.0)
        .on(positive)
        .at(POSITIVE),
    one(
        "reciprocal",
        |g, x| g.reciprocal_of(x[0]),
        |x| 1.0 / x[0],
        2.0,
    )
    .on(denominators),
    both("div", |g, x| g.div(x[0], x[1]), |x| x[0] / x[1], 3.0)
        .within(1.0 / 2048.0)
        .on(quotients),
    one("x^0", |g, x| g.pow(x[0], 0.0), |_| 1.0, EXACT),
    one("x^2", |g, x| g.pow(x[0], 2.0), |x| x[0] * x[0], 1.0).on(moderate),
    one("x^3", |g, x| g.pow(x[0], 3.0), |x| x[0].powi(3), 2.0).on(moderate),
    one("x^-1", |g, x| g.pow(x[0], -1.0), |x| 1.0 / x[0], 2.0).on(denominators),
    one("x^0.5", |g, x| g.pow(x[0], 0.5), |x| x[0].sqrt(), 2.0)
        .on(positive)
        .at(POSITIVE),
    one(
        "x^-0.5",
        |g, x| g.pow(x[0], -0.5),
        |x| 1.0 / x[0].sqrt(),
        2.0,
    )
    .on(positive)
    .at(POSITIVE),
    one("x^0.3", |g, x| g.pow(x[0], 0.3), |x| x[0].powf(0.3), 3.0)
        .on(for_logarithms)
        .at(POSITIVE),
    both(
        "x^y",
        |g, x| g.pow_edge(x[0], x[1]),
        |x| x[0].powf(x[1]),
        3.0,
    )
    .on(powers)
    .at(POSITIVE),
    one(
        "clip",
        |g, x| g.clip(x[0], Some(-1.5), Some(1.0)),
        |x| x[0].clamp(-1.5, 1.0),
        EXACT,
    ),
    one(
        "clip from below",
        |g, x| g.clip(x[0], Some(0.0), None),
        |x| x[0].max(0.0),
        EXACT,
    ),
    one(
        "clip from above",
        |g, x| g.clip(x[0], None, Some(6.0)),
        |x| x[0].min(6.0),
        EXACT,
    ),
    one(
        "clip not at all",
        |g, x| g.clip(x[0], Some(f64::NEG_INFINITY), None),
        |x| x[0],
        EXACT,
    ),
    both("min", |g, x| g.min(x[0], x[1]), |x| x[0].min(x[1]), EXACT).on(far_apart),
    both("max", |g, x| g.max(x[0], x[1]), |x| x[0].max(x[1]), EXACT).on(far_apart),
    one("floor", |g, x| g.floor(x[0]), |x| x[0].floor(), EXACT).on(halves),
    one("ceil", |g, x| g.ceil(x[0]), |x| x[0].ceil(), EXACT).on(halves),
    one(
        "round",
        |g, x| g.round(x[0]),
        |x| x[0].round_ties_even(),
        EXACT,
    )
    .on(halves),
    one(
        "scale_exact",
        |g, x| g.scale_exact(x[0], 1.0 / 3.0),
        |x| x[0] / 3.0,
        3.0,
    ),
    one(
        "scale_exact up",
        |g, x| g.scale_exact(x[0], 5000.4),
        |x| x[0] * 5000.4,
        3.0,
    ),
    one(
        "scale_exact down",
        |g, x| g.scale_exact(x[0], -3.3e-7),
        |x| x[0] * -3.3e-7,
        3.0,
    ),
    both(
        "less",
        |g, x| g.less(x[0], x[1]),
        |x| bit(x[0] < x[1]),
        EXACT,
    )
    .on(far_apart),
    both(
        "less_equal",
        |g, x| g.less_equal(x[0], x[1]),
        |x| bit(x[0] <= x[1]),
        EXACT,
    )
    .on(far_apart),
    both(
        "greater",
        |g, x| g.greater(x[0], x[1]),
        |x| bit(x[0] > x[1]),
        EXACT,
    )
    .on(far_apart),
    both(
        "greater_equal",
        |g, x| g.greater_equal(x[0], x[1]),
        |x| bit(x[0] >= x[1]),
        EXACT,
    )
    .on(far_apart),
    both(
        "equal",
        |g, x| g.equal(x[0], x[1]),
        |x| bit(x[0] == x[1]),
        EXACT,
    )
    .on(far_apart),
    one("not", |g, x| g.not(x[0]), |x| 1.0 - x[0], EXACT).on(bits),
    both("and", |g, x| g.and(x[0], x[1]), |x| x[0] * x[1], EXACT).on(truth),
    both(
        "or",
        |g, x| g.or(x[0], x[1]),
        |x| x[0] + x[1] - x[0] * x[1],
        EXACT,
    )
    .on(truth),
    both(
        "xor",
        |g, x| g.xor(x[0], x[1]),
        |x| x[0] + x[1] - 2.0 * x[0] * x[1],
        EXACT,
    )
    .on(truth),
    Word {
        arity: 3,
        grid: choices,
        ..one(
            "select",
            |g, x| g.select(x[0], x[1], x[2]),
            |x| x[0] * x[1] + (1.0 - x[0]) * x[2],
            EXACT,
        )
    },
    both(
        "select by a comparison",
        |g, x| {
            let c = g.less(x[0], x[1])?;
            let c = g.not(c)?;
            let twice = g.linear(&[(2, x[0])], 0.0)?;
            g.select(c, twice, x[1])
        },
        |x| if x[0] >= x[1] { 2.0 * x[0] } else { x[1] },
        EXACT,
    ),
    one(
        "select a mask",
        |g, x| {
            let n = g.shape(x[0])?.to_vec();
            let c = g.negative(x[0])?;
            // Through a sum, so that the comparison is not seen.
            let c = g.linear(&[(1, c)], 0.0)?;
            let masked = g.fill(&n, -(2f64.powi(30)));
            g.select(c, masked, x[0])
        },
        |x| if x[0] < 0.0 { -(2f64.powi(30)) } else { x[0] },
        EXACT,
    )
    .at(POSITIVE),
];

impl Word {
    const fn on(self, grid: fn() -> Vec<Vec<f64>>) -> Self {
        Self { grid, ..self }
    }

    const fn within(self, relative: f64) -> Self {
        Self { relative, ..self }
    }

    const fn at(self, points: &'static [[f64; 3]]) -> Self {
        Self { points, ..self }
    }
}
