//! Bits: comparisons, Boolean gates, selections, and numbers without a coin.

use ndarray::ArrayD;
use tacit_nn::program::{self, Instr};
use tacit_nn::{Engine, Graph, Program, Ring, run};

use super::{F, Shares, UNIT, World, assert_close, column, grid, opened, reals};

/// A program of one instruction on a number, whose bit is given out as a number.
fn bit_of(instr: Instr) -> Program {
    let mut p = Program::new("bit");
    p.push(Instr::Input(0));
    let bit = p.push(instr);
    let y = p.push(Instr::ToArithmetic(bit));
    p.outputs = vec![y];
    p
}

fn as_number(bit: bool) -> f64 {
    f64::from(u8::from(bit))
}

/// Zero, its neighbours, powers of two and theirs, with either sign.
fn neighbours(most: i32) -> Vec<f64> {
    let near = (-(F as i32)..most).flat_map(|k| {
        let x = 2f64.powi(k);
        [x, x - UNIT, x + UNIT]
    });
    let signs = near.flat_map(|x| [x, -x]);
    [0.0].into_iter().chain(signs).collect()
}

/// Comparisons of whole words and of bounded ones, and equality.
pub fn step_07_signs_are_exact_at_every_edge(world: &impl World) {
    let check = |x: &ArrayD<f64>, instr: Instr, want: fn(f64) -> bool| {
        let program = bit_of(instr.clone());
        let got = opened(world, std::slice::from_ref(x), |e, v| {
            e.map(&program, &[&v[0]])
        });
        for (x, y) in x.iter().zip(&got[0]) {
            assert_eq!(*y, as_number(want(*x)), "{instr:?} of {x}");
        }
    };
    // 2^44 is the bound on what has an encoding.
    let all = column(neighbours(43).into_iter().chain(grid(-3e9, 3e9, 4000)));
    check(&all, Instr::Negative(0, None), |x| x < 0.0);
    check(&all, Instr::Zero(0), |x| x == 0.0);
    for bound in [1, 5, 20] {
        let top = 2f64.powi(bound);
        let within = neighbours(bound).into_iter().filter(|x| x.abs() < top);
        let x = column(within.chain(grid(UNIT - top, top - UNIT, 500)));
        check(&x, Instr::Negative(0, Some(bound as u32)), |x| x < 0.0);
    }
}

/// And, exclusive or, not; numbers where bits belong are refused, and the other way round.
pub fn step_08_bits_follow_their_truth_tables(world: &impl World) {
    let sign = |k: usize, by: usize| 1.0 - 2.0 * ((k / by) % 2) as f64;
    let inputs = [1, 2].map(|by| column((0..130).map(|k| sign(k, by))));
    let cases: [(Instr, fn(bool, bool) -> bool); 3] = [
        (Instr::And(2, 3), |a, b| a && b),
        (Instr::Xor(2, 3), |a, b| a ^ b),
        (Instr::Not(2), |a, _| !a),
    ];
    for (gate, truth) in cases {
        let mut p = Program::new("boolean");
        p.push(Instr::Input(0));
        p.push(Instr::Input(1));
        p.push(Instr::Negative(0, None));
        p.push(Instr::Negative(1, None));
        let z = p.push(gate.clone());
        let y = p.push(Instr::ToArithmetic(z));
        p.outputs = vec![y];
        let got = opened(world, &inputs, |e, v| e.map(&p, &[&v[0], &v[1]]));
        for (z, (x, y)) in got[0].iter().zip(inputs[0].iter().zip(&inputs[1])) {
            let want = as_number(truth(*x < 0.0, *y < 0.0));
            assert_eq!(*z, want, "{gate:?} of signs of {x}, {y}");
        }
    }
    let refused = opened(world, &[reals(&[4], 1)], |e, v| {
        let bits = e.map(&program::relu(), &[&v[0]])?.swap_remove(1);
        assert!(
            e.map(&program::relu(), &[&bits]).is_err(),
            "a bit is no number"
        );
        assert!(e.reveal(&bits).is_err(), "bits are not revealed as numbers");
        assert!(
            e.map(&program::relu_grad(), &[&v[0], &v[0]]).is_err(),
            "a number is no bit"
        );
        Ok(vec![])
    });
    assert!(refused.is_empty());
}

/// A relu and its gradient by the bit that the relu kept, of tensors of every length.
pub fn step_09_selections_and_relu_are_exact(world: &impl World) {
    for n in [1, 2, 3, 63, 64, 65, 1000] {
        let x = column((0..n).map(|k| (2.0 * k as f64 - n as f64) * UNIT * 3.0));
        let dy = column((0..n).map(|k| 1.0 + k as f64));
        let got = opened(world, &[x.clone(), dy.clone()], |e, v| {
            let mut y = e.map(&program::relu(), &[&v[0]])?;
            e.begin_node(1);
            let kept = y.swap_remove(1);
            let grad = e.map(&program::relu_grad(), &[&v[1], &kept])?;
            Ok(vec![y.swap_remove(0), grad[0].clone()])
        });
        for (k, x) in x.iter().enumerate() {
            assert_eq!(got[0][k], x.max(0.0), "relu of {x}, {n} values");
            let want = if *x < 0.0 { 0.0 } else { dy[k] };
            assert_eq!(got[1][k], want, "gradient at {x}, {n} values");
        }
    }
}

/// Floors of numbers, and products in nodes that are rounded exactly.
pub fn step_10_floors_and_exact_roundings_have_no_coin(world: &impl World) {
    let x = column(neighbours(20).into_iter().chain(grid(-9.0, 9.0, 777)));
    let mut p = Program::new("floor");
    p.push(Instr::Input(0));
    let y = p.push(Instr::Floor(0));
    p.outputs = vec![y];
    let got = opened(world, std::slice::from_ref(&x), |e, v| e.map(&p, &[&v[0]]));
    assert_close(&got[0], &x.mapv(f64::floor), 0.0);

    let inputs = [reals(&[500], 6), reals(&[500], 7)];
    let mut g = Graph::new();
    let (a, b) = (g.input(&[500]), g.input(&[500]));
    let z = g.mul(a, b).unwrap();
    g.output(z);
    let mut ring = Ring::new(F);
    let words: Vec<_> = inputs.iter().map(|x| ring.encode(x).unwrap()).collect();
    let want = run(&g, &mut ring, &words).unwrap();
    let got = opened(world, &inputs, |e, v| {
        e.round_exactly((0..g.len()).collect());
        run(&g, e, v)
    });
    assert_close(&got[0], &ring.decode(&want[0]), 0.0);
}
