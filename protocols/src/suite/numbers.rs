//! Numbers: inputs, sums, products, roundings.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, Conv};
use tacit_nn::{Engine, Layout, Product, Ring, program};

use super::{
    F, Shares, UNIT, World, assert_close, column, grid, in_memory, opened, reals, rounded,
};

/// The largest numbers with an encoding that a sum of two still has.
fn edges() -> ArrayD<f64> {
    let most = 2f64.powi(43);
    column([0.0, UNIT, -UNIT, 1.0, -1.0, most, -most, 0.75, -1234.5])
}

/// What everybody knows opens as it is.
pub fn step_01_public_numbers_open_as_they_are(world: &impl World) {
    for x in [edges(), reals(&[3, 1, 7], 1), reals(&[1], 2), reals(&[], 3)] {
        let got = opened(world, &[], |e, _| Ok(vec![e.public(&x)?]));
        assert_close(&got[0], &x, 0.5);
    }
}

/// Every party's input opens to what it put in, also where shapes are odd; a wrong owner is refused.
pub fn step_02_inputs_open_to_what_their_owners_put_in(world: &impl World) {
    for n in [1, 2, 3, 64, 65, 1000] {
        // One more than parties: the first is the owner of two.
        let inputs: Vec<_> = (0..4).map(|k| reals(&[n], k)).collect();
        let got = opened(world, &inputs, |_, v| Ok(v.to_vec()));
        for (got, want) in got.iter().zip(&inputs) {
            assert_close(got, want, 0.5);
        }
    }
    let got = opened(world, &[edges()], |_, v| Ok(v.to_vec()));
    assert_close(&got[0], &edges(), 0.0);
    let refused = world.run(in_memory(world), |e| {
        let (me, x) = (e.me(), reals(&[2], 1));
        // The owner brings nothing, or another shape than it said.
        let nothing = e.input(me, &[2], None).is_err();
        Ok(nothing && e.input(me, &[3], Some(&x)).is_err())
    });
    assert!(refused.into_iter().all(Result::unwrap), "a wrong input");
}

/// Sums with small integers and rearrangements: exact, and without a byte.
pub fn step_03_sums_and_layouts_are_exact_and_send_nothing(world: &impl World) {
    let (x, y) = (edges(), (edges() * -0.5).mapv(rounded));
    let results = world.run(in_memory(world), |e| {
        let v = super::share(e, &[x.clone(), y.clone()])?;
        e.begin_run()?;
        let before = e.cost();
        let p = e.public(&x)?;
        let sum = e.linear(&[(2, &v[0]), (-1, &v[1]), (-1, &p)], 0.5)?;
        let rows = e.layout(&Layout::Reshape(vec![3, 3]), &sum)?;
        let turned = e.layout(&Layout::Transpose(vec![1, 0]), &rows)?;
        let joined = e.concat(0, &[&rows, &turned])?;
        let after = e.cost();
        let sent = (after.bytes - before.bytes, after.messages - before.messages);
        Ok((sent, e.reveal(&joined)?))
    });
    let want = |i: usize, j: usize| {
        let k = if i < 3 { 3 * i + j } else { 3 * j + i - 3 };
        x[k] - y[k] + 0.5
    };
    let want = ArrayD::from_shape_fn(IxDyn(&[6, 3]), |ix| want(ix[0], ix[1]));
    for (sent, got) in results.into_iter().map(Result::unwrap) {
        assert_eq!(sent, (0, 0), "bytes and messages");
        assert_close(&got, &want, 0.0);
    }
}

/// Elementwise products, with public operands and small coefficients, rounded once.
pub fn step_04_products_are_those_of_the_ring(world: &impl World) {
    let (x, y) = (grid(-700.0, 700.0, 999), grid(300.0, -200.0, 999));
    for (public, scale) in [(false, 1.0), (true, 1.0), (false, -0.375)] {
        let want = ring(
            scale,
            &[(Bilinear::Mul, 2, &x, &y), (Bilinear::Mul, -1, &y, &y)],
        );
        let got = opened(world, &[x.clone(), y.clone()], |e, v| {
            let x = if public { e.public(&x)? } else { v[0].clone() };
            let terms = [(2, &x, &v[1]), (-1, &v[1], &v[1])];
            let terms = terms.map(|(coefficient, x, y)| Product {
                f: Bilinear::Mul,
                coefficient,
                x,
                y,
            });
            Ok(vec![e.products(&terms, scale)?])
        });
        assert_close(&got[0], &want, 1.0);
    }
}

/// Matrix products and convolutions of odd shapes, and their gradients' forms.
pub fn step_05_matrix_products_and_convolutions_are_those_of_the_ring(world: &impl World) {
    let c = Conv {
        groups: 2,
        stride: [2, 1, 1],
        ..Conv::new(&[7, 6], &[3, 2])
    };
    let shapes: [(Bilinear, &[usize], &[usize]); 4] = [
        (Bilinear::MatMul, &[5, 17], &[17, 3]),
        (Bilinear::MatMul, &[2, 5, 7], &[2, 7, 1]),
        (Bilinear::MatMul, &[1, 1], &[1, 1]),
        (Bilinear::Conv(c), &[2, 4, 7, 6], &[6, 2, 3, 2]),
    ];
    for (f, left, right) in shapes {
        let (x, y) = (reals(left, 4) * 30.0, reals(right, 5) * 30.0);
        let want = ring(1.0, &[(f, 1, &x, &y)]);
        let got = opened(world, &[x, y], |e, v| {
            Ok(vec![e.bilinear(f, &v[0], &v[1], 1.0)?])
        });
        assert_close(&got[0], &want, 1.0);
    }
}

/// Words up to the largest that may be rounded: a rounding that is wrong once in 2^k of numbers near 2^(62-k) shows here.
pub fn step_06_a_rounding_is_never_off_by_more_than_a_unit(world: &impl World) {
    for (most, by) in [
        (2f64.powi(43), -12),
        (2f64.powi(43), -30),
        (1.0, -4),
        (8.0 * UNIT, -1),
    ] {
        let x = grid(-most, most, world.points(20_000));
        let program = program::scale(2f64.powi(by));
        let mut ring = Ring::new(F);
        let words = ring.encode(&x).unwrap();
        let want = ring.map(&program, &[&words]).unwrap();
        let got = opened(world, std::slice::from_ref(&x), |e, v| {
            e.map(&program, &[&v[0]])
        });
        assert_close(&got[0], &ring.decode(&want[0]), 1.0);
    }
}

/// scale·Σ coefficient·f(x, y) in the ring.
fn ring(scale: f64, terms: &[(Bilinear, i64, &ArrayD<f64>, &ArrayD<f64>)]) -> ArrayD<f64> {
    let mut ring = Ring::new(F);
    let words: Vec<_> = terms
        .iter()
        .map(|(.., x, y)| [x, y].map(|x| ring.encode(x).unwrap()))
        .collect();
    let terms = terms.iter().zip(&words).map(|(term, [x, y])| Product {
        f: term.0,
        coefficient: term.1,
        x,
        y,
    });
    let z = ring.products(&terms.collect::<Vec<_>>(), scale).unwrap();
    ring.decode(&z)
}
