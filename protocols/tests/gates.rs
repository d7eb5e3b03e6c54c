//! Every gate of rep3 against plain integers: results, errors, rounds and bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gate::{N, grid, map, run};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_nn::program::{self, Instr};
use tacit_nn::{Engine, Graph, Program, Table};
use tacit_protocols::rep3::{CostEngine, CostValue, Depth};

#[test]
fn a_product_costs_24_bytes_and_one_round() {
    let (x, y) = (grid(-7.0, 7.0, N), grid(3.0, -2.0, N));
    let r = run(16, Depth::Three, &[x, y], |e, v| {
        vec![e.product(Bilinear::Mul, &v[0], &v[1]).unwrap()]
    });
    r.costs(1, 24.0 * N as f64);
}

#[test]
fn a_rounded_product_costs_at_most_31_bytes_and_two_rounds() {
    let (x, y) = (grid(-700.0, 700.0, N), grid(300.0, -200.0, N));
    for (f, bytes) in [(16, 30.0), (18, 30.75), (20, 31.5)] {
        let r = run(f, Depth::Three, &[x.clone(), y.clone()], |e, v| {
            vec![e.bilinear(Bilinear::Mul, &v[0], &v[1], 1.0).unwrap()]
        });
        r.costs(2, bytes * N as f64);
        let tolerance = 2f64.powi(-(f as i32)) * 602.0;
        for (z, (a, b)) in r.outputs[0].iter().zip(x.iter().zip(&y)) {
            assert!((z - a * b).abs() < tolerance, "{a}·{b} = {z}");
        }
    }
}

#[test]
fn a_matrix_product_costs_its_outputs_only() {
    let x = grid(-1.0, 1.0, 48 * 70)
        .into_shape_with_order(IxDyn(&[48, 70]))
        .unwrap();
    let y = grid(2.0, -1.0, 70 * 36)
        .into_shape_with_order(IxDyn(&[70, 36]))
        .unwrap();
    let r = run(16, Depth::Three, &[x.clone(), y.clone()], |e, v| {
        vec![e.bilinear(Bilinear::MatMul, &v[0], &v[1], 1.0).unwrap()]
    });
    r.costs(2, 30.0 * (48 * 36) as f64);
    for i in 0..48 {
        for j in 0..36 {
            let want: f64 = (0..70).map(|k| x[[i, k]] * y[[k, j]]).sum();
            assert!((r.outputs[0][[i, j]] - want).abs() < 4e-3, "{i},{j}");
        }
    }
}

#[test]
fn truncation_alone_costs_14_bytes_and_is_off_by_one_unit_at_most() {
    let x = grid(-1000.0, 1000.0, N);
    let r = run(
        16,
        Depth::Three,
        std::slice::from_ref(&x),
        map(program::scale(1.0 / 4096.0)),
    );
    r.costs(2, (64.0 + 3.0 * 12.0) / 8.0 * N as f64);
    for (y, x) in r.outputs[0].iter().zip(&x) {
        let floor = (x * 65536.0).round() / 4096.0;
        let error = y * 65536.0 - floor.floor();
        assert!(
            (0.0..=1.0).contains(&error),
            "{x}: {error} units above the floor"
        );
    }
}

#[test]
fn comparison_is_exact_at_every_edge_and_costs_what_the_specification_says() {
    let mut x = grid(-3e9, 3e9, N);
    let unit = 2f64.powi(-16);
    for (i, v) in [
        0.0,
        -unit,
        unit,
        1.0 - 2f64.powi(40),
        2f64.powi(40),
        -(2f64.powi(45)),
        2f64.powi(45),
    ]
    .into_iter()
    .enumerate()
    {
        x[i * 1000] = v;
    }
    for (depth, rounds, bits) in [
        (Depth::Three, 5, 334.0),
        (Depth::Two, 4, 398.0),
        (Depth::One, 3, 1928.0),
        (Depth::Dcf, 2, 2.0 * 128.0 * 57.0 + 3.0),
    ] {
        let mut p = Program::new("sign");
        let input = p.push(Instr::Input(0));
        let s = p.push(Instr::Negative(input, None));
        p.outputs = vec![s];
        let r = run(16, depth, std::slice::from_ref(&x), |e, v| {
            let bits = e.map(&p, &[&v[0]]).unwrap();
            let mut back = Program::new("bit");
            let b = back.push(Instr::InputBit(0));
            let a = back.push(Instr::ToArithmetic(b));
            back.outputs = vec![a];
            // The cost of the conversion is known: 24 bytes, 2 rounds.
            e.begin_node(1);
            e.map(&back, &[&bits[0]]).unwrap()
        });
        r.costs(rounds + 2, (bits / 8.0 + 24.0) * N as f64);
        for (b, x) in r.outputs[0].iter().zip(&x) {
            assert_eq!(*b, f64::from(u8::from(*x < 0.0)), "{x}");
        }
    }
}

#[test]
fn bounded_comparison_is_exact_up_to_its_bound() {
    for bound in [1, 3, 8, 20] {
        let top = 2f64.powi(bound);
        let unit = 2f64.powi(-16);
        let mut x = grid(-top, top - unit, 999);
        x[1] = 0.0;
        x[2] = -unit;
        let mut p = Program::new("sign");
        let input = p.push(Instr::Input(0));
        let s = p.push(Instr::Negative(input, Some(bound as u32)));
        let a = p.push(Instr::ToArithmetic(s));
        p.outputs = vec![a];
        let r = run(16, Depth::Three, std::slice::from_ref(&x), map(p));
        for (b, x) in r.outputs[0].iter().zip(&x) {
            assert_eq!(*b, f64::from(u8::from(*x < 0.0)), "{x} below 2^{bound}");
        }
    }
}

#[test]
fn relu_costs_73_75_bytes_and_six_rounds() {
    let x = grid(-90.0, 80.0, N);
    for (depth, rounds, bits) in [
        (Depth::Three, 6, 334.0),
        (Depth::Two, 5, 398.0),
        (Depth::One, 4, 1928.0),
        (Depth::Dcf, 3, 2.0 * 128.0 * 57.0 + 3.0),
    ] {
        let mut relu = program::relu();
        relu.outputs.truncate(1);
        let r = run(18, depth, std::slice::from_ref(&x), map(relu));
        r.costs(rounds, (bits / 8.0 + 32.0) * N as f64);
        for (y, x) in r.outputs[0].iter().zip(&x) {
            assert!((y - x.max(0.0)).abs() < 2f64.powi(-18), "{x}");
        }
    }
}

#[test]
fn exponential_of_negative_numbers_is_right_to_two_units() {
    let x = grid(-30.0, 0.9, N);
    for (f, bits) in [(16, 232), (18, 223), (20, 211)] {
        let r = run(
            f,
            Depth::Three,
            std::slice::from_ref(&x),
            map(program::exp_neg()),
        );
        // Dealt and swapped bits of the comparison of 61 - f bits, then ten words and T1.
        let compared = f64::from(bits);
        let word = f64::from(2 * f + 18);
        let t1 = 64.0 + 3.0 * f64::from(60 - f);
        r.costs(7, (compared + 10.0 * word + t1) / 8.0 * N as f64);
        for (y, x) in r.outputs[0].iter().zip(&x) {
            let x = (x * 2f64.powi(f as i32)).round() / 2f64.powi(f as i32);
            let units = (y - x.exp()).abs() * 2f64.powi(f as i32);
            assert!(units < 2.0, "exp({x}) = {y}: {units} units at f = {f}");
        }
    }
}

#[test]
fn logistic_functions_are_right_over_their_range() {
    let x = grid(-200.0, 200.0, N);
    let near = grid(-12.0, 12.0, N);
    for (f, tolerance) in [
        (16, 2f64.powi(-13)),
        (18, 2f64.powi(-15)),
        (20, 2f64.powi(-16)),
    ] {
        for x in [&x, &near] {
            let r = run(
                f,
                Depth::Three,
                std::slice::from_ref(x),
                map(program::logistic(f)),
            );
            for ((s, l), x) in r.outputs[0].iter().zip(&r.outputs[1]).zip(x) {
                let sigmoid = 1.0 / (1.0 + (-x).exp());
                let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
                assert!(
                    (s - sigmoid).abs() < tolerance,
                    "sigmoid({x}) = {s} at f = {f}"
                );
                assert!(
                    (l - softplus).abs() < tolerance,
                    "softplus({x}) = {l} at f = {f}"
                );
            }
        }
    }
    // The specification's sigmoid takes 454 bytes and 11 rounds at f = 16; the clamp adds a comparison and a selection, and
    // lets the exponential be the cheaper one with a relative error: 458 bytes and 16 rounds.
    let sigmoid = map(program::sigmoid(16));
    let r = run(16, Depth::Three, std::slice::from_ref(&near), sigmoid);
    assert_eq!(r.rounds(), 16);
    assert!(
        (457.0..460.0).contains(&(r.bytes() / N as f64)),
        "{}",
        r.bytes() / N as f64
    );
}

/// Softmax and its loss over ten classes, through the graph: wide and narrow logits.
#[test]
fn softmax_and_cross_entropy_match_plaintext() {
    let (rows, classes) = (64, 10);
    for spread in [0.5, 8.0, 60.0] {
        let wave = |k: usize| (k as f64 * 0.7).sin() * spread + (k as f64 * 0.13).cos();
        let logits =
            ArrayD::from_shape_fn(IxDyn(&[rows, classes]), |ix| wave(ix[0] * classes + ix[1]));
        let labels = ArrayD::from_shape_fn(IxDyn(&[rows, classes]), |ix| {
            f64::from(u8::from(ix[0] % classes == ix[1]))
        });
        let mut g = Graph::new();
        let (z, y) = (g.input(&[rows, classes]), g.input(&[rows, classes]));
        let p = g.softmax(z, 1).unwrap();
        let loss = g.softmax_cross_entropy(z, y).unwrap();
        g.output(p);
        g.output(loss);
        let r = run(
            18,
            Depth::Three,
            &[logits.clone(), labels.clone()],
            |e, v| tacit_nn::run(&g, e, v).unwrap(),
        );
        for i in 0..rows {
            let row: Vec<f64> = (0..classes).map(|j| logits[[i, j]]).collect();
            let top = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|z| (z - top).exp()).sum();
            for (j, z) in row.iter().enumerate() {
                let want = (z - top).exp() / sum;
                assert!(
                    (r.outputs[0][[i, j]] - want).abs() < 2f64.powi(-13),
                    "softmax at spread {spread}"
                );
            }
            let want = sum.ln() + top - row[i % classes];
            assert!(
                (r.outputs[1].as_slice().unwrap()[i] - want).abs() < 2f64.powi(-12),
                "loss at spread {spread}"
            );
        }
    }
}

/// What a softmax of ten entries costs: four levels of maxima, e^x, 1/Σ and a product.
#[test]
fn softmax_of_ten_costs_307_bytes_an_entry_and_36_rounds() {
    let mut g = Graph::new();
    let z = g.input(&[10_000, 10]);
    let p = g.softmax(z, 1).unwrap();
    g.output(p);
    let mut e = CostEngine::new(18, Depth::Three);
    tacit_nn::run(&g, &mut e, &[CostValue::shared(&[10_000, 10])]).unwrap();
    let parties = e.parties();
    assert_eq!(parties.map(|p| p.bytes).iter().sum::<u64>(), 30_697_500);
    assert_eq!(parties.map(|p| p.header_bytes).iter().sum::<u64>(), 29_760);
    assert_eq!(parties.map(|p| p.rounds).iter().max(), Some(&36));
}

/// A table whose guard cell is cut in half by a pole: its coefficients are large, and its precision must follow.
#[test]
fn ill_conditioned_tables_keep_their_precision() {
    let t = Table::within(
        "1/x",
        f64::recip,
        (1.0 - 1.0 / 64.0, 11.0),
        2.0,
        2f64.powi(-18),
    )
    .unwrap();
    for x in [grid(0.985, 1.05, N), grid(0.985, 10.99, N)] {
        let r = run(
            18,
            Depth::Three,
            std::slice::from_ref(&x),
            map(program::table(t)),
        );
        for (y, x) in r.outputs[0].iter().zip(&x) {
            assert!((y - 1.0 / x).abs() < 2f64.powi(-15), "1/{x} = {y}");
        }
    }
}
