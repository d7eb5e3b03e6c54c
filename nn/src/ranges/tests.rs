use ndarray::array;
use proptest::prelude::*;
use tacit_mpc::{Bilinear, Conv};

use super::*;
use crate::{
    Edge, Function, Ring,
    layers::norm::{layer_norm, rms_norm},
};

const F: u32 = 18;

/// A step of the sequence of random numbers, in [0, n).
fn next(state: &mut u64, n: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % n
}

/// A number from an interval, often one of its ends.
fn inside(state: &mut u64, (lo, hi): (f64, f64)) -> f64 {
    match next(state, 4) {
        0 => lo,
        1 => hi,
        _ => lo + (hi - lo) * next(state, 1 << 20) as f64 / (1 << 20) as f64,
    }
}

/// A random operation on random nodes, all of shape [3, 3].
fn grow(g: &mut Graph, nodes: &[Edge], state: &mut u64) -> Result<Edge> {
    let x = nodes[next(state, nodes.len())];
    let y = nodes[next(state, nodes.len())];
    let factor = [0.5, -0.3, 3.0, 1.0 / 3.0, -40.0][next(state, 5)];
    let functions = [
        Function::Logistic,
        Function::Exp,
        Function::Tanh,
        Function::Erf,
        Function::Gelu,
        Function::GeluTanh,
        Function::Silu,
        Function::Mish,
        Function::Softsign,
        Function::Log,
        Function::Sqrt,
        Function::InverseRoot,
        Function::Reciprocal,
        Function::Floor,
        Function::Round,
        Function::Sign,
        Function::Zero,
        Function::Negative,
        Function::Threshold(factor),
        Function::ExpWithin,
    ];
    Ok(match next(state, 22) {
        0 => g.mul(x, y)?,
        1 => g.mul(x, x)?,
        2 => g.matmul(x, y)?,
        3 => g.linear(&[(1, x), (-1, y)], factor)?,
        4 => g.scale(x, factor)?,
        5 => {
            let sum = g.sum(x, next(state, 2))?;
            g.broadcast(sum, &[3, 3])?
        }
        6 => g.softmax(x, next(state, 2))?,
        7 => g.relu(x)?,
        8 => g.leaky_relu(x, 0.01)?,
        9 => g.abs(x)?,
        10 => g.clip(x, Some(-2.0), Some(factor.abs()))?,
        11 => g.hard_swish(x)?,
        12 => {
            let relu = g.relu(x)?;
            let bit = Edge { port: 1, ..relu };
            g.map(Function::Mask, &[y, bit])?
        }
        13 => g.map(Function::Max, &[x, y])?,
        14 => g.elu(x, 1.0)?,
        15 => {
            let (a, b) = (g.mul(x, y)?, g.matmul(y, x)?);
            g.linear(&[(2, a), (-3, b), (1, x)], 0.25)?
        }
        16 => g.div(x, y)?,
        17 => {
            let one = g.fill(&[3], 1.0);
            layer_norm(g, x, one, None, 1, 1e-5)?.y
        }
        18 => {
            let softplus = g.softplus(x)?;
            g.log_softmax(softplus, 1)?
        }
        _ => g.map(functions[next(state, functions.len())], &[x])?,
    })
}

/// Requirement: what is shown to hold is never refused, and what comes out lies in the intervals.
fn sound(seed: u64) -> bool {
    let mut state = seed;
    let mut g = Graph::new();
    let mut nodes: Vec<Edge> = (0..3).map(|_| g.input(&[3, 3])).collect();
    for _ in 0..1 + next(&mut state, 7) {
        let y = grow(&mut g, &nodes, &mut state).unwrap();
        nodes.push(y);
    }
    g.output(nodes[nodes.len() - 1]);
    if next(&mut state, 2) == 0 {
        nodes.iter().for_each(|&x| g.output(x));
    }
    let width = 2f64.powi(next(&mut state, 16) as i32 - 4);
    let bounds: Vec<(f64, f64)> = (0..2)
        .map(|_| match next(&mut state, 3) {
            0 => (0.0, width),
            1 => (-width, width),
            _ => (-0.25 * width, 3.0 * width),
        })
        .collect();
    let known = ArrayD::from_shape_fn(IxDyn(&[3, 3]), |_| inside(&mut state, (-2.0, 2.0)));
    let inputs = [
        Input::Within(bounds[0].0, bounds[0].1),
        Input::Within(bounds[1].0, bounds[1].1),
        Input::Known(&known),
    ];
    let intervals = match prove(&g, &inputs, F) {
        Ok(intervals) => intervals,
        Err(Unproven::Outside { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    for _ in 0..6 {
        let mut ring = Ring::new(F);
        let of = |state: &mut u64, bounds| {
            ArrayD::from_shape_fn(IxDyn(&[3, 3]), |_| inside(state, bounds))
        };
        let values: Vec<_> = [
            of(&mut state, bounds[0]),
            of(&mut state, bounds[1]),
            known.clone(),
        ]
        .iter()
        .map(|x| ring.encode(x).unwrap())
        .collect();
        let outputs = run(&g, &mut ring, &values)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}, shown not to happen"));
        for (y, (lo, hi)) in outputs.iter().zip(&intervals) {
            let y = ring.decode(y);
            assert!(
                y.iter().all(|v| (lo..=hi).contains(&v)),
                "seed {seed}: {y} outside of [{lo}, {hi}]"
            );
        }
    }
    true
}

/// Enough of the random graphs are shown to hold for the test to mean something.
#[test]
fn random_graphs_hold_what_is_shown_of_them() {
    let shown = (0..3000u64)
        .filter(|&seed| sound(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .count();
    assert!(
        shown > 1000,
        "only {shown} of 3000 graphs are shown to hold"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_graph_holds_what_is_shown_of_it(seed: u64) {
        sound(seed);
    }
}

/// The interval of the one output, for inputs in the same interval.
fn range(
    shape: &[usize],
    bounds: (f64, f64),
    build: impl Fn(&mut Graph, Edge) -> Result<Edge>,
) -> std::result::Result<(f64, f64), String> {
    let mut g = Graph::new();
    let x = g.input(shape);
    g.set_origin("layer");
    let y = build(&mut g, x).unwrap();
    g.output(y);
    match prove(&g, &[Input::Within(bounds.0, bounds.1)], F) {
        Ok(found) => Ok(found[0]),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn what_may_leave_its_range_is_named() {
    type Build = fn(&mut Graph, Edge) -> Result<Edge>;
    let cases: [(&str, (f64, f64), Build, &str); 10] = [
        ("a square", (0.0, 8192.0), |g, x| g.mul(x, x), "mul before"),
        (
            "a matrix product",
            (-4730.0, 4730.0),
            |g, x| g.matmul(x, x),
            "matmul before",
        ),
        ("a sum", (-6e12, 6e12), |g, x| g.sum(x, 0), "sum"),
        (
            "a linear form",
            (-1e13, 1e13),
            |g, x| g.linear(&[(2, x)], 0.0),
            "linear",
        ),
        ("a scale", (-1e12, 1e12), |g, x| g.scale(x, 20.5), "scale"),
        ("a table", (-1.0, 2.5), |g, x| g.exp_negative(x), "exp"),
        (
            "e^x without a clamp",
            (-17.0, 2.0),
            |g, x| g.exp_within(x),
            "exp",
        ),
        (
            "a quotient by numbers near 0",
            (-5000.0, 5000.0),
            |g, x| g.div(x, x),
            "divide",
        ),
        (
            "a logarithm without a clamp",
            (0.0, 2.0),
            |g, x| g.map(Function::Scaled(crate::program::Scaled::Ln, -4, 4), &[x]),
            "log",
        ),
        (
            "squares of a norm",
            (-9000.0, 9000.0),
            |g, x| {
                let one = g.fill(&[3], 1.0);
                rms_norm(g, x, one, 1, 1e-5)
            },
            "matmul before",
        ),
    ];
    for (what, bounds, build, op) in cases {
        let error = range(&[3, 3], bounds, build).expect_err(what);
        assert!(
            error.contains(op) && error.contains("layer, node"),
            "{what}: {error}"
        );
        // Far inside it holds.
        let small = (bounds.0.max(-0.5), bounds.1.min(0.5));
        if what != "a logarithm without a clamp" {
            assert!(range(&[3, 3], small, build).is_ok(), "{what}");
        }
    }
}

/// The last word inside is shown to hold, the first outside is not.
#[test]
fn products_end_where_the_words_do() {
    let most = 8192.0 - 2f64.powi(-18);
    let square = |g: &mut Graph, x| g.mul(x, x);
    assert!(range(&[1], (-most, most), square).is_ok());
    assert!(range(&[1], (-most, 8192.0), square).is_err());
}

#[test]
fn known_weights_count_by_their_magnitudes() {
    let mut g = Graph::new();
    let (x, w) = (g.input(&[4, 3]), g.input(&[3, 2]));
    let y = g.matmul(x, w).unwrap();
    g.output(y);
    let weights = array![[1.0, -0.25], [2.0, 0.0], [-3.0, 0.5]].into_dyn();
    let found = prove(&g, &[Input::Within(-2.0, 4.0), Input::Known(&weights)], F).unwrap()[0];
    // 4·(1 + 2) + 2·3 and -2·(1 + 2) - 4·3.
    assert!(
        (found.1 - 18.0).abs() < 1e-3 && (found.0 + 18.0).abs() < 1e-3,
        "{found:?}"
    );
    let conv = Bilinear::Conv(Conv::new(&[3, 3], &[2, 2]));
    let mut g = Graph::new();
    let (x, w) = (g.input(&[2, 1, 3, 3]), g.input(&[1, 1, 2, 2]));
    let y = g.bilinear(conv, x, w).unwrap();
    g.output(y);
    let kernel = array![[[[1.0, -1.0], [2.0, 0.5]]]].into_dyn();
    let found = prove(&g, &[Input::Within(0.0, 2.0), Input::Known(&kernel)], F).unwrap()[0];
    assert!(
        (found.1 - 7.0).abs() < 1e-3 && (found.0 + 2.0).abs() < 1e-3,
        "{found:?}"
    );
}

#[test]
fn known_ranges_of_functions_are_found() {
    let wide = (-65_536.0, 65_536.0);
    let near = |found: (f64, f64), want: (f64, f64)| {
        let slack = 0.05;
        assert!(
            found.0 >= want.0 - slack && found.1 <= want.1 + slack,
            "{found:?} not {want:?}"
        );
    };
    near(
        range(&[2, 5], wide, |g, x| g.sigmoid(x)).unwrap(),
        (0.0, 1.0),
    );
    near(range(&[2, 5], wide, |g, x| g.tanh(x)).unwrap(), (-1.0, 1.0));
    near(
        range(&[2, 5], wide, |g, x| g.softmax(x, 1)).unwrap(),
        (0.0, 1.0),
    );
    near(
        range(&[2, 1], wide, |g, x| g.softmax(x, 1)).unwrap(),
        (0.0, 1.0),
    );
    near(
        range(&[2, 5], wide, |g, x| g.relu(x)).unwrap(),
        (0.0, 65_536.0),
    );
    near(
        range(&[2, 5], wide, |g, x| g.abs(x)).unwrap(),
        (0.0, 65_536.0),
    );
    near(
        range(&[2, 5], wide, |g, x| g.elu(x, 1.0)).unwrap(),
        (-1.0, 65_536.0),
    );
    near(
        range(&[2, 5], wide, |g, x| g.clip(x, Some(-1.0), Some(6.0))).unwrap(),
        (-1.0, 6.0),
    );
    near(
        range(&[2, 5], wide, |g, x| g.gelu(x)).unwrap(),
        (-0.2, 65_536.0),
    );
    near(range(&[2, 5], wide, |g, x| g.round(x)).unwrap(), wide);
    // Rows of a softmax add up to one: mixing stays within what is mixed.
    let mixed = range(&[64, 64], (-300.0, 300.0), |g, x| {
        let p = g.softmax(x, 1)?;
        g.matmul(p, x)
    });
    near(mixed.unwrap(), (-310.0, 310.0));
    // Long rows, whose sum is looked up in binades.
    near(
        range(&[1, 3000], (-9.0, 9.0), |g, x| g.softmax(x, 1)).unwrap(),
        (0.0, 1.0),
    );
}

/// Rows that are alike are looked at once; the result is the same for any number.
#[test]
fn the_number_of_rows_changes_nothing() {
    let net = |g: &mut Graph, x: Edge| {
        let w = g.public(ArrayD::from_shape_fn(IxDyn(&[6, 6]), |at| {
            (at[0] as f64 - at[1] as f64) / 3.0
        }));
        let y = g.matmul(x, w)?;
        let y = g.gelu(y)?;
        let y = g.softmax(y, 1)?;
        g.matmul(y, w)
    };
    let one = range(&[1, 6], (-3.0, 5.0), net).unwrap();
    for rows in [2, 7, 64] {
        assert_eq!(range(&[rows, 6], (-3.0, 5.0), net).unwrap(), one);
    }
}

/// All roundings of a softmax at their worst, in both shapes that they add up most in.
#[test]
fn entries_of_a_softmax_add_up_to_no_more_than_is_shown() {
    let unit = 2f64.powi(-(F as i32));
    let (u, v) = (4.0, programs::SCALED_UNITS as f64);
    assert_eq!(programs::exp_units(F), 4);
    for n in [1, 2, 64, 1000, 30_000] {
        let alike = vec![1.0 + u * unit; n];
        let mut alone = vec![-u * unit; n];
        alone[0] = 1.0 - u * unit;
        let shown = facts::softmax_mass(n, F).unwrap();
        for exponentials in [alike, alone] {
            let sum: f64 = exponentials.iter().sum();
            let reciprocal = (1.0 + programs::RELATIVE) / sum + v * unit;
            let entries = exponentials
                .iter()
                .map(|e| (e * reciprocal).abs() + 2.0 * unit);
            let mass: f64 = entries.sum();
            assert!(mass <= shown, "{n}: {mass} beyond {shown}");
        }
        assert!(shown < 1.01 + 30.0 * n as f64 * unit, "{n}: {shown}");
    }
    // Here the errors of the others could outweigh the greatest.
    assert!(facts::softmax_mass(33_000, F).is_none());
}

/// At every number of fractional bits: the nearest word and those next to it, as many as a function may be off by.
#[test]
fn functions_are_given_what_they_may_be_off_by() {
    for f in 12..=20 {
        for (function, of, points) in [
            (
                Function::ExpNegative,
                f64::exp as fn(f64) -> f64,
                [-20.0, -1.0, -0.001, 0.0, 0.99],
            ),
            (
                Function::Reciprocal,
                |x| 1.0 / x,
                [0.02, 0.7, 1.0, 3.0, 900.0],
            ),
            (Function::Sqrt, f64::sqrt, [0.02, 0.7, 1.0, 3.0, 900.0]),
        ] {
            for x in points {
                let mut g = Graph::new();
                let input = g.input(&[1]);
                let y = g.map(function, &[input]).unwrap();
                g.output(y);
                let at = array![x].into_dyn();
                let shown = prove(&g, &[Input::Known(&at)], f).unwrap()[0];
                let ring =
                    run(&g, &mut Ring::new(f), &[Ring::new(f).encode(&at).unwrap()]).unwrap();
                let ring = Ring::new(f).decode(&ring[0])[[0]];
                let unit = 2f64.powi(-(f as i32));
                let units = match function {
                    Function::ExpNegative => programs::exp_units(f) as f64 - 1.0,
                    _ => 3.0,
                };
                let word = (x / unit).round() * unit;
                for y in [ring, of(word)] {
                    let room = (y - shown.0).min(shown.1 - y) / unit;
                    assert!(
                        room >= units,
                        "{function:?} of {x} at {f} bits: room for {room} units"
                    );
                }
            }
        }
    }
}
