//! Lowered programs say what programs say, whatever the values and however badly they may be read; and in how many
//! bootstraps.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

mod random;

use super::{Lowered, build::lower, plan::Reach, profile::Profiles};
use crate::LoadError;
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
        Reach {
            boxes,
            digits: boxes,
            noise,
            room: 8,
        },
        &Params::toys()[toy],
    )
    .ok()
}

/// For every input, read as badly as may be in either direction, and exactly.
fn agree(program: &Program, lowered: &Lowered) {
    for x in 0..=program.parts().input.max {
        agree_on(program, lowered, &[x]);
    }
}

fn agree_on(program: &Program, lowered: &Lowered, input: &[u16]) {
    let wanted = program.run(input);
    let mut turn = input.iter().map(|&x| i64::from(x)).sum::<i64>();
    for sign in [-1, 0, 1, 2] {
        let error = |most: i64| {
            turn += 1;
            let sign = if sign == 2 { (turn % 3) - 1 } else { sign };
            sign * (most - 1)
        };
        let found = lowered.run(program, input, error);
        assert_eq!(found, wanted, "{input:?} {sign}");
    }
}

fn clamp(low: i64, shift: u8, entries: usize, levels: i32) -> Vec<i32> {
    let entry = |k: usize| ((low >> shift) as i32 + k as i32).clamp(0, levels);
    (0..entries).map(entry).collect()
}

#[test]
fn every_value_of_wide_intervals_is_looked_up_right_and_in_as_few_bootstraps_as_documented() {
    let entries = |low: i64, high: i64, shift: u8| ((high - low) >> shift) as usize + 1;
    let odd = |k: usize| (k * k % 11) as i32 - 5;
    let windows = |k: i32| (k - 2).clamp(0, 9) - (k - 50).clamp(0, 9);
    // By rows of the table in the documentation of this module, for 6, 8, 10, 12 and 14 bits.
    let mut found = vec![Vec::new(); 6];
    let (mut held, mut all) = (0, 0);
    for bits in [6_u8, 8, 10, 12, 14] {
        let (low, high) = (-(1_i64 << (bits - 1)), (1_i64 << (bits - 1)) - 1);
        let sign: Vec<i32> = (low..=high).map(|a| i32::from(a >= 0)).collect();
        let bins = |count: usize| (0..count).map(odd).collect::<Vec<i32>>();
        let relu = clamp(low, bits - 5, entries(low, high, bits - 5), 15);
        let window = |shift: u8| vec![clamp(low, shift, entries(low, high, shift), 15)];
        for (row, (shift, tables)) in [
            (bits - 4, vec![bins(16)]),
            (bits - 5, vec![relu, bins(32)]),
            (0, vec![sign]),
            (bits - 6, window(bits - 6)),
            (bits.saturating_sub(8), window(bits.saturating_sub(8))),
            (bits - 6, vec![(0..64).map(windows).collect()]),
        ]
        .into_iter()
        .enumerate()
        {
            let program = one(low, high, shift, tables);
            for (boxes, toy) in [(8, 1), (16, 0), (32, 1), (34, 0), (64, 1)] {
                all += 1;
                if let Some(lowered) = lowered(&program, boxes, toy) {
                    agree(&program, &lowered);
                    held += 1;
                }
            }
            if row < 5 {
                found[row].push(bootstraps(&program, "tacit-2048-3"));
            }
        }
    }
    found.pop();
    println!("{held} of {all} lowered");
    assert!(3 * held >= all, "{held} of {all} lowered");
    assert_eq!(
        found,
        [
            [3, 3, 4, 5, 5],
            [3, 4, 4, 6, 6],
            [2, 3, 3, 4, 5],
            [3, 5, 5, 6, 7],
            [3, 4, 6, 6, 7]
        ]
    );
}

/// `results` sums of one value modulo `modulus`, each by the same table.
fn turned(modulus: u32, results: usize) -> Program {
    let row = Row {
        bias: 0,
        terms: vec![term(Source::Input, 0, 1)],
    };
    let edge = |to: usize| Edge {
        from: 0,
        to,
        table: 0,
        weight: 1,
    };
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::Cyclic { modulus }],
        edges: (0..results).map(edge).collect(),
        bias: vec![0; results],
        tables: vec![(0..modulus as i32 / 2).map(|k| k & 1).collect()],
    };
    let linear = Node::Linear(Linear { rows: vec![row] });
    parts(1, 1, vec![linear, Node::Lookup(lookup)]).unwrap()
}

#[test]
fn a_modulus_that_no_rotation_tells_apart_is_refused_before_its_tables_are_stored() {
    let toy = &Params::toys()[0];
    let positions = 2 * toy.polynomial_size() as u32;
    let refused = |modulus: u32, results: usize| {
        Lowered::best(&turned(modulus, results), toy, -128.0).unwrap_err()
    };
    let error = refused(positions + 2, 3);
    assert!(
        matches!(error, LoadError::Modulus { node: 1, .. }),
        "{error}"
    );
    // 2^26 entries and some.
    let error = refused(positions, 1 + (1 << 27) / positions as usize);
    assert!(matches!(error, LoadError::Large { node: 1, .. }), "{error}");
}

#[test]
fn sums_of_sums_of_many_lookups_are_refused_before_their_sources_are_stored_or_gone_through() {
    let count = 1 << 12;
    let rows = |rows: usize, of: &dyn Fn(usize) -> Vec<Term>| {
        let row = |k: usize| Row {
            bias: 0,
            terms: of(k),
        };
        Node::Linear(Linear {
            rows: (0..rows).map(row).collect(),
        })
    };
    let edge = |k: usize| Edge {
        from: k,
        to: k,
        table: 0,
        weight: 1,
    };
    let program = |last: usize, terms: usize| {
        let lookup = Lookup {
            node: 0,
            domains: vec![Domain::interval(0, 1); count],
            edges: (0..count).map(edge).collect(),
            bias: vec![0; count],
            tables: vec![vec![0, 1]],
        };
        let nodes = vec![
            rows(count, &|k| vec![term(Source::Input, k, 1)]),
            Node::Lookup(lookup),
            rows(1, &|_| {
                (0..count).map(|k| term(Source::Node(1), k, 1)).collect()
            }),
            rows(last, &|_| vec![term(Source::Node(2), 0, 1); terms]),
        ];
        parts(count, 1, nodes).unwrap()
    };
    let toy = &Params::toys()[0];
    assert!(Lowered::best(&program(3, 2), toy, -128.0).is_ok());
    for (rows, terms) in [((1 << 25) / count, 1), (1, (1 << 27) / count)] {
        let error = Lowered::best(&program(rows, terms), toy, -128.0).unwrap_err();
        assert!(matches!(error, LoadError::Large { node: 3, .. }), "{error}");
    }
}

/// Two tables that change far from each other are looked up one by one, where no lookup holds both.
#[test]
fn tables_that_change_far_apart_take_as_many_as_each_alone() {
    let at = |at: i64| {
        (0..1024)
            .map(|k| (k - at).clamp(0, 9) as i32)
            .collect::<Vec<i32>>()
    };
    let [both, first, second] =
        [vec![at(100), at(900)], vec![at(100)], vec![at(900)]].map(|t| one(0, 1023, 0, t));
    let [both_, first, second] = [&both, &first, &second].map(|p| bootstraps(p, "tacit-2048-3"));
    assert_eq!(both_, first + second);
    for boxes in [32, 34] {
        agree(&both, &lowered(&both, boxes, 0).unwrap());
    }
}

/// Any table, any width, any shift, on any number of boxes: right, or refused, and not most of them.
#[test]
fn any_table_is_looked_up_right() {
    let kinds = prop::collection::vec((0..5_u8, any::<i32>(), any::<i32>()), 1..4);
    let any = (
        -3000_i64..3000,
        1_i64..3000,
        0_u8..12,
        kinds,
        1_u64..20,
        0_usize..2,
    );
    let served = AtomicUsize::new(0);
    let mut runner = TestRunner::new(Config::with_cases(256));
    let ran = runner.run(&any, |(low, width, shift, kinds, boxes, toy)| {
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
            served.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    ran.unwrap();
    let served = served.into_inner();
    assert!(served >= 100, "{served} of 256 are served");
}
