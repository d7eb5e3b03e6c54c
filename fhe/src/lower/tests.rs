//! Lowered programs say what programs say, whatever the values and however badly they may be read; and in how many
//! bootstraps.

use proptest::prelude::*;

use super::{Lowered, build::lower, plan::Reach, profile::Profiles};
use crate::params::Params;
use crate::program::{
    Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, ProgramError, Row, Source, Term,
};

fn parts(len: usize, max: u16, nodes: Vec<Node>) -> Result<Program, ProgramError> {
    Program::try_from(Parts {
        name: String::new(),
        input: Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len,
            max,
        },
        nodes,
        output_scale: 1.0,
    })
}

fn term(source: Source, index: usize, weight: i32) -> Term {
    Term {
        source,
        index,
        weight,
    }
}

/// One input of 0 to `high` - `low`, moved to begin at `low`, looked up in tables of as many results.
fn one(low: i64, high: i64, shift: u8, tables: Vec<Vec<i32>>) -> Program {
    let row = Row {
        bias: low,
        terms: vec![term(Source::Input, 0, 1)],
    };
    let edge = |table: usize| Edge {
        from: 0,
        to: table,
        table,
        weight: 1,
    };
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::Interval { low, high, shift }],
        edges: (0..tables.len()).map(edge).collect(),
        bias: vec![3; tables.len()],
        tables,
    };
    let linear = Node::Linear(Linear { rows: vec![row] });
    parts(1, (high - low) as u16, vec![linear, Node::Lookup(lookup)]).unwrap()
}

/// How many bootstraps: without noise in the input, on the set of this name.
fn bootstraps(program: &Program, set: &str) -> usize {
    let params = Params::by_name(set).unwrap();
    params.noise(program).unwrap().bootstraps
}

fn lowered(program: &Program, boxes: u64, toy: usize) -> Option<Lowered> {
    let profiles = Profiles::of(program);
    let noise = 0.5 / boxes as f64;
    lower(
        program,
        &profiles,
        Reach { boxes, noise },
        &Params::toys()[toy],
    )
    .ok()
}

/// For every input, read as badly as may be in either direction, and exactly.
fn agree(program: &Program, lowered: &Lowered) {
    for x in 0..=program.parts().input.max {
        let wanted = program.run(&[x]);
        let mut turn = i64::from(x);
        for sign in [-1, 0, 1, 2] {
            let error = |most: i64| {
                turn += 1;
                let sign = if sign == 2 { (turn % 3) - 1 } else { sign };
                sign * (most - 1)
            };
            assert_eq!(lowered.run(program, &[x], error), wanted, "{x} {sign}");
        }
    }
}

fn clamp(low: i64, shift: u8, entries: usize, levels: i32) -> Vec<i32> {
    let entry = |k: usize| ((low >> shift) as i32 + k as i32).clamp(0, levels);
    (0..entries).map(entry).collect()
}

#[test]
fn every_value_of_wide_intervals_is_looked_up_right_and_in_few_bootstraps() {
    let entries = |low: i64, high: i64, shift: u8| ((high - low) >> shift) as usize + 1;
    let odd = |k: usize| (k * k % 11) as i32 - 5;
    // Sixteen bins of 6, 8, 10, 12 and 14 bits: the low digits, and one lookup of sixteen boxes.
    for (bits, wanted) in [(6_u8, 3), (8, 3), (10, 4), (12, 5), (14, 5)] {
        let low = -37;
        let high = low + (1_i64 << bits) - 1;
        let table: Vec<i32> = (0..16).map(odd).collect();
        let program = one(low, high, bits - 4, vec![table]);
        for boxes in [8, 32, 34] {
            if let Some(lowered) = lowered(&program, boxes, 0) {
                agree(&program, &lowered);
            }
        }
        let found = bootstraps(&program, "tacit-2048-3");
        println!("{bits} bits into 16 bins: {found} bootstraps");
        assert_eq!(found, wanted, "{bits} bits");
    }
    for bits in [6_u8, 8, 10, 12, 14] {
        let (low, high) = (-(1_i64 << (bits - 1)), (1_i64 << (bits - 1)) - 1);
        let sign: Vec<i32> = (low..=high).map(|a| i32::from(a >= 0)).collect();
        let shift = bits - 5;
        let relu = clamp(low, shift, entries(low, high, shift), 15);
        let window = |s: u8| clamp(low, s, entries(low, high, s), 15);
        for (what, shift, tables) in [
            ("sign", 0, vec![sign]),
            ("relu", shift, vec![relu.clone()]),
            (
                "relu and another",
                shift,
                vec![relu.clone(), (0..32).map(odd).collect()],
            ),
            ("window of a quarter", bits - 6, vec![window(bits - 6)]),
            (
                "window of a sixteenth",
                bits.saturating_sub(8),
                vec![window(bits.saturating_sub(8))],
            ),
        ] {
            let program = one(low, high, shift, tables);
            for (boxes, toy) in [(16, 0), (32, 1), (34, 0), (64, 1)] {
                if let Some(lowered) = lowered(&program, boxes, toy) {
                    agree(&program, &lowered);
                }
            }
            let found = bootstraps(&program, "tacit-2048-3");
            println!("{bits} bits, {what}: {found} bootstraps");
        }
    }
}

proptest! {
    /// Any table, any width, any shift, on any number of boxes: right, or refused.
    #[test]
    fn any_table_is_looked_up_right(
        low in -3000_i64..3000,
        width in 0_i64..3000,
        shift in 0_u8..12,
        kinds in prop::collection::vec((0..5_u8, any::<i32>(), any::<i32>()), 1..4),
        boxes in 1_u64..20,
        toy in 0_usize..2,
    ) {
        let entries = (width >> shift) as usize + 1;
        let table = |&(kind, a, b): &(u8, i32, i32)| -> Vec<i32> {
            let at = a.rem_euclid(entries as i32);
            let entry = |k: i32| match kind {
                0 => i32::from(k >= at) * 7 - 3,
                1 => (k - at).clamp(0, b.rem_euclid(12)),
                2 => (k - at).abs().min(4),
                3 => k.wrapping_mul(a).wrapping_add(k * k / 3) % 5,
                _ => 2,
            };
            (0..entries as i32).map(entry).collect()
        };
        let program = one(low, low + width, shift, kinds.iter().map(table).collect());
        if let Some(lowered) = lowered(&program, 2 * boxes, toy) {
            agree(&program, &lowered);
        }
    }
}
