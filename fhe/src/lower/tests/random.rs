//! Whole programs at random: layers of sums and of lookups of any kind, values that are looked up several times, tables
//! that values share, values that differ by a constant or a factor alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{agree_on, term};
use crate::lower::{Lowered, build::lower, plan::Reach, profile::Profiles};
use crate::params::Params;
use crate::program::{
    Builder, Domain, Edge, Input, Interval, Linear, Lookup, Node, Program, Row, Source, Term,
};

/// Numbers that a program is made from, over and over.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u32>>);

impl Dice<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |&d| d as usize % n)
    }

    /// From -`most` to `most`, not 0.
    fn weight(&mut self, most: usize) -> i32 {
        let size = 1 + self.below(most) as i32;
        [size, -size][self.below(2)]
    }
}

/// Rows of a few terms; now and then the row before, moved or multiplied.
fn linear(dice: &mut Dice<'_>, count: usize, source: Source, most: usize) -> Node {
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..1 + dice.below(4) {
        let mut row = match rows.last() {
            Some(row) if dice.below(4) == 0 => row.clone(),
            _ => {
                let mut term = |_| term(source, dice.below(count), dice.weight(most));
                let terms: Vec<Term> = (0..4).map(&mut term).collect();
                let some = 1 + dice.below(4);
                Row {
                    bias: 0,
                    terms: terms[..some].to_vec(),
                }
            }
        };
        row.bias += dice.below(41) as i64 - 20;
        if dice.below(6) == 0 {
            row.terms.iter_mut().for_each(|term| term.weight *= 2);
        }
        rows.push(row);
    }
    Node::Linear(Linear { rows })
}

fn domain(dice: &mut Dice<'_>, range: Interval) -> Domain {
    if dice.below(4) == 0 {
        let half = 1 + dice.below(12) as u32;
        return Domain::Cyclic { modulus: 2 * half };
    }
    let (below, above) = (dice.below(3), dice.below(3));
    let (low, high) = (range.low - below as i64, range.high + above as i64);
    let bits = 64 - ((high - low) as u64).leading_zeros();
    let kept = 1 + dice.below(7) as u32;
    let shift = bits.saturating_sub(kept) as u8;
    Domain::Interval { low, high, shift }
}

fn table(dice: &mut Dice<'_>, entries: usize) -> Vec<i32> {
    let (kind, at) = (dice.below(5), dice.below(entries) as i32);
    let some = 1 + dice.below(9) as i32;
    let entry = |k: i32| match kind {
        0 => i32::from(k >= at),
        1 => (k - at).clamp(0, some),
        2 => (k - at).abs().min(some),
        3 => k.wrapping_mul(k).wrapping_add(at * k) % (some + 1) - 2,
        _ => some,
    };
    (0..entries as i32).map(entry).collect()
}

fn lookup(dice: &mut Dice<'_>, node: usize, ranges: &[Interval]) -> Node {
    let domains: Vec<Domain> = ranges.iter().map(|&range| domain(dice, range)).collect();
    let results = 1 + dice.below(4);
    let (mut tables, mut edges) = (Vec::<Vec<i32>>::new(), Vec::new());
    for (from, domain) in domains.iter().enumerate() {
        for _ in 0..1 + dice.below(3) {
            let entries = domain.entries();
            let known = tables.iter().position(|table| table.len() == entries);
            let table = match known {
                Some(known) if dice.below(2) == 0 => known,
                _ => {
                    tables.push(table(dice, entries));
                    tables.len() - 1
                }
            };
            let (to, weight) = (dice.below(results), dice.weight(3));
            edges.push(Edge {
                from,
                to,
                table,
                weight,
            });
        }
    }
    let bias = (0..results).map(|_| dice.below(9) as i64 - 4).collect();
    Node::Lookup(Lookup {
        node,
        domains,
        tables,
        edges,
        bias,
    })
}

/// A program, if its numbers make one.
fn program(dice: &mut Dice<'_>) -> Option<Program> {
    let len = 1 + dice.below(3);
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len,
        max: 1 + dice.below(30) as u16,
    };
    let mut builder = Builder::new(input).ok()?;
    let mut node = builder.push(linear(dice, len, Source::Input, 9)).ok()?;
    for _ in 0..1 + dice.below(3) {
        let ranges = builder.ranges(node).to_vec();
        node = builder.push(lookup(dice, node, &ranges)).ok()?;
        if dice.below(2) == 0 {
            let count = builder.ranges(node).len();
            let sums = linear(dice, count, Source::Node(node), 5);
            node = builder.push(sums).ok()?;
        }
    }
    builder.finish("", 1.0).ok()
}

fn lowered(dice: &mut Dice<'_>, program: &Program) -> Option<Lowered> {
    let boxes = [8, 16, 22, 32, 34, 64][dice.below(6)];
    let digits = boxes >> dice.below(3) & !1;
    let reach = Reach {
        boxes,
        digits: digits.max(4),
        noise: 0.5 / boxes as f64 / [1.0, 1.5, 4.0][dice.below(3)],
        room: [2, 8][dice.below(2)],
    };
    let toy = &Params::toys()[dice.below(2)];
    lower(program, &Profiles::of(program), reach, toy).ok()
}

/// How many of `cases` programs are made and lowered; all of them say what they should.
fn run(cases: u32) -> usize {
    let served = AtomicUsize::new(0);
    let mut runner = TestRunner::new(Config::with_cases(cases));
    let dice = prop::collection::vec(any::<u32>(), 20..200);
    let ran = runner.run(&dice, |dice| {
        let mut dice = Dice(dice.iter().cycle());
        let Some(program) = program(&mut dice) else {
            return Ok(());
        };
        let Some(lowered) = lowered(&mut dice, &program) else {
            return Ok(());
        };
        let most = usize::from(program.parts().input.max);
        for k in 0..12 {
            let x = |_| match k {
                0 => 0,
                1 => most as u16,
                _ => dice.below(most + 1) as u16,
            };
            let input: Vec<u16> = (0..program.parts().input.len).map(x).collect();
            agree_on(&program, &lowered, &input);
        }
        served.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    ran.unwrap();
    served.into_inner()
}

#[test]
fn random_programs_are_lowered_right() {
    let served = run(2_000);
    println!("{served} of 2000 programs were made and lowered");
    assert!(served > 500, "{served} of 2000");
}

#[test]
#[ignore = "a minute: cargo test --release -p tacit-fhe --lib random_programs -- --ignored"]
fn many_random_programs_are_lowered_right() {
    let served = run(500_000);
    println!("{served} of 500000 programs were made and lowered");
    assert!(served > 100_000, "{served} of 500000");
}
