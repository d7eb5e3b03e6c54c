//! Functions on uniform sharings, to the accuracy of the semi-honest level.

use tacit_nn::Table;
use tacit_nn::program::{Instr, Scaled, logistic, sigmoid};

use super::super::bilinear::Rounding;
use super::super::exp::exp;
use super::super::scaled::scaled;
use super::super::table::evaluate;
use super::{N, unary};
use crate::rep3::exp::{ExpTables, NEGATIVE, RELATIVE};
use crate::rep3::lookup::Prepared;
use crate::rep3::scaled::Normalised;

fn grid(lo: f64, hi: f64, n: usize, f: u32) -> Vec<u64> {
    let unit = 2f64.powi(f as i32);
    (0..n)
        .map(|i| ((lo + (hi - lo) * i as f64 / (n - 1) as f64) * unit).floor() as i64 as u64)
        .collect()
}

fn real(x: u64, f: u32) -> f64 {
    x as i64 as f64 * 2f64.powi(-(f as i32))
}

#[test]
fn tables_are_right_to_a_few_units() {
    for f in [16, 18, 20] {
        let tables: Vec<Table> = [sigmoid(f), logistic(f)]
            .iter()
            .flat_map(|p| p.code.clone())
            .filter_map(|i| match i {
                Instr::Table(_, t) => Some(t),
                _ => None,
            })
            .collect();
        assert!(!tables.is_empty());
        for t in tables {
            let prepared = Prepared::new(&t, f).unwrap();
            let x = grid(t.lo, t.hi, N, f);
            let r = unary(&x, 3, async |c, x| {
                evaluate(c, &prepared, x, None, Rounding::Masked).await
            });
            let k = f64::from(prepared.d + prepared.log2_cells);
            let cells = f64::from((1 << prepared.log2_cells) - 1);
            let powers = prepared.degree as f64;
            let narrow = if prepared.d > prepared.scale {
                16.0
            } else {
                0.0
            };
            let want = k / 8.0
                + 8.0
                + 8.0 * cells
                + 24.0 * (powers - 1.0)
                + narrow
                + 16.0 * (powers + 1.0)
                + 24.0
                + 16.0
                + 3.0 * f64::from(prepared.shift) / 8.0;
            r.costs(5, want);
            println!("{} f = {f}: {want} bytes", t.name);
            for (x, y) in x.iter().zip(&r.outputs[0]) {
                let exact = (t.f)(real(*x, f));
                let units = (real(*y, f) - exact).abs() * 2f64.powi(f as i32);
                let most = 4.0 + 2f64.powi(f as i32 - 17);
                assert!(
                    units < most,
                    "{}({}) at f = {f}: {units} units",
                    t.name,
                    real(*x, f)
                );
            }
        }
    }
}

#[test]
fn exponentials_are_right_as_at_the_semi_honest_level() {
    for f in [8, 12, 16, 18, 20, 22] {
        let t = ExpTables::new(NEGATIVE, f);
        let x = grid(-238.9, 0.999, N, f);
        let r = unary(&x, 4, async |c, x| exp(c, &t, x, Rounding::Masked).await);
        println!(
            "exp of negatives at f = {f}: {} bytes, {} rounds",
            r.bytes as f64 / N as f64,
            r.rounds
        );
        for (x, y) in x.iter().zip(&r.outputs[0]) {
            let exact = real(*x, f).exp();
            let units = (real(*y, f) - exact).abs() * 2f64.powi(f as i32);
            // The rows have 41 bits of scale, whatever f is.
            let most =
                3f64.max(2f64.powi(f as i32 - 19)) + exact * 4f64.max(2f64.powi(f as i32 - 18));
            assert!(
                units < most,
                "exp({}) at f = {f}: {units} units",
                real(*x, f)
            );
        }
        let t = ExpTables::new(RELATIVE, f);
        let x = grid(-16.0, 11.999, N, f);
        let r = unary(&x, 5, async |c, x| exp(c, &t, x, Rounding::Masked).await);
        println!(
            "exp at f = {f}: {} bytes, {} rounds",
            r.bytes as f64 / N as f64,
            r.rounds
        );
        for (x, y) in x.iter().zip(&r.outputs[0]) {
            let exact = real(*x, f).exp();
            let units = (real(*y, f) - exact).abs() * 2f64.powi(f as i32);
            let most = 2f64.max(2f64.powi(f as i32 - 20)) + exact * 2f64.powi(f as i32 - 17);
            assert!(
                units < most,
                "exp({}) at f = {f}: {units} units",
                real(*x, f)
            );
        }
    }
}

#[test]
fn functions_of_many_binades_keep_their_precision() {
    for (f, lo, hi) in [(18, -14, 14), (16, -8, 12), (20, -4, 3)] {
        for function in [
            Scaled::Reciprocal,
            Scaled::InverseRoot,
            Scaled::Root,
            Scaled::Ln,
        ] {
            let t = Normalised::new(function, lo, hi, f).unwrap();
            let x: Vec<u64> = (0..N)
                .map(|i| {
                    let log = f64::from(lo) + f64::from(hi - lo) * i as f64 / N as f64;
                    (log.exp2() * 2f64.powi(f as i32)).ceil() as u64
                })
                .collect();
            let r = unary(&x, 6, async |c, x| scaled(c, &t, x, Rounding::Masked).await);
            println!(
                "{} at f = {f}: {} bytes, {} rounds",
                function.name(),
                r.bytes as f64 / N as f64,
                r.rounds
            );
            for (x, y) in x.iter().zip(&r.outputs[0]) {
                let exact = function.of(real(*x, f));
                let error = (real(*y, f) - exact).abs();
                let relative = if f == 16 {
                    2f64.powi(-14)
                } else {
                    2f64.powi(-17)
                };
                let most = 3.5 * 2f64.powi(-(f as i32)) + exact.abs() * relative;
                assert!(
                    error < most,
                    "{} of {} at f = {f}: {error}",
                    function.name(),
                    real(*x, f)
                );
            }
        }
    }
}
