//! Programs against what was computed by hand, the refusals, and proved ranges against what inputs attain.

use proptest::prelude::*;

use super::*;

fn term(source: Source, index: usize, weight: i32) -> Term {
    Term {
        source,
        index,
        weight,
    }
}

fn edge(from: usize, to: usize, table: usize, weight: i32) -> Edge {
    Edge {
        from,
        to,
        table,
        weight,
    }
}

/// Two inputs up to 3; a₀ = 1 + 2x₀ - x₁ ∈ [-2, 7], a₁ = 5x₁ modulo 8; two results from both; their difference.
pub(super) fn small() -> Parts {
    let input = |index, weight| term(Source::Input, index, weight);
    let rows = vec![
        Row {
            bias: 1,
            terms: vec![input(0, 2), input(1, -1)],
        },
        Row {
            bias: 0,
            terms: vec![input(1, 5)],
        },
    ];
    let squares = (-2..=7).map(|a| a * a).collect();
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::interval(-2, 7), Domain::Cyclic { modulus: 8 }],
        tables: vec![squares, vec![4, 3, 0, -3]],
        edges: vec![edge(0, 0, 0, 1), edge(1, 0, 1, 10), edge(1, 1, 1, -1)],
        bias: vec![100, 0],
    };
    let difference = Row {
        bias: -7,
        terms: vec![term(Source::Node(1), 0, 1), term(Source::Node(1), 1, -2)],
    };
    Parts {
        name: "small".into(),
        input: Input {
            offset: vec![1.0],
            gain: vec![2.0, 0.5],
            len: 2,
            max: 3,
        },
        nodes: vec![
            Node::Linear(Linear { rows }),
            Node::Lookup(lookup),
            Node::Linear(Linear {
                rows: vec![difference],
            }),
        ],
        output_scale: 0.5,
    }
}

#[test]
fn values_are_those_computed_by_hand() {
    let program = Program::try_from(small()).unwrap();
    let trace = |x: [u16; 2]| program.trace(&x);
    // 5·3 = 15 = 7 mod 8: -T[3] = 3.
    assert_eq!(
        trace([1, 3]),
        [vec![0, 15], vec![100 + 30, -3], vec![130 + 6 - 7]]
    );
    // 5·1 = 5: -T[1] = -3.
    assert_eq!(
        trace([3, 1]),
        [vec![6, 5], vec![100 + 36 - 30, 3], vec![106 - 6 - 7]]
    );
    assert_eq!(
        trace([0, 0]),
        [vec![1, 0], vec![100 + 1 + 40, -4], vec![141 + 8 - 7]]
    );
    assert_eq!(program.run(&[0, 0]), [142]);
    assert_eq!(program.lookups(), 2);
}

#[test]
fn ranges_are_those_computed_by_hand() {
    let program = Program::try_from(small()).unwrap();
    let range = |low, high| Interval { low, high };
    assert_eq!(program.ranges(0), [range(-2, 7), range(0, 15)]);
    assert_eq!(program.ranges(1), [range(60, 189), range(-4, 4)]);
    assert_eq!(program.result_ranges(), [range(45, 190)]);
    assert_eq!(range(-2, 7).count(), 10);
}

/// Tables that one value goes through to one result are summed entry by entry: |a| - |a| is 0.
#[test]
fn tables_of_one_value_cancel_before_they_are_bounded() {
    let mut parts = small();
    let Node::Lookup(lookup) = &mut parts.nodes[1] else {
        unreachable!("a lookup");
    };
    lookup.edges = vec![edge(0, 0, 0, 1), edge(1, 1, 1, 1), edge(0, 0, 0, -1)];
    let program = Program::try_from(parts).unwrap();
    let range = |low, high| Interval { low, high };
    assert_eq!(program.ranges(1), [range(100, 100), range(-4, 4)]);
    assert_eq!(program.trace(&[3, 0])[1], [100, 4]);
}

#[test]
fn a_row_is_quantised_to_the_nearest_and_cut_off() {
    let input = small().input;
    // (x - 1)·2 and (x - 1)/2.
    assert_eq!(input.quantize(&[1.0, 1.0]), [0, 0]);
    assert_eq!(input.quantize(&[1.74, 4.1]), [1, 2]);
    assert_eq!(input.quantize(&[1.76, 3.9]), [2, 1]);
    assert_eq!(input.quantize(&[-9.0, 1e9]), [0, 3]);
    assert_eq!(input.quantize(&[f32::NEG_INFINITY, f32::INFINITY]), [0, 3]);
    assert_eq!(input.quantize(&[f32::NAN, -f32::NAN]), [0, 0]);
}

/// One entry for every four values from the lowest on: floor((a + 5)/4).
#[test]
fn low_bits_are_dropped_from_the_lowest_value_on() {
    let domain = Domain::Interval {
        low: -5,
        high: 4,
        shift: 2,
    };
    let table = [10, 20, 30];
    let seen = |a| domain.look_up(&table, a);
    assert_eq!(
        [-5, -2, -1, 2, 3, 4].map(seen),
        [10, 10, 20, 20, 30, 30].map(Some)
    );
    assert_eq!([-6, 5, i64::MIN, i64::MAX].map(seen), [None; 4]);

    let mut parts = small();
    let Node::Lookup(lookup) = &mut parts.nodes[1] else {
        unreachable!("a lookup");
    };
    lookup.domains[0] = Domain::Interval {
        low: -5,
        high: 7,
        shift: 2,
    };
    lookup.tables[0] = vec![-9, 9, 3, 8];
    let program = Program::try_from(parts).unwrap();
    // From -2 to 7, the worst of all entries: 100 and the 40 of the other value around it.
    let range = |low, high| Interval { low, high };
    assert_eq!(program.ranges(1)[0], range(100 - 9 - 40, 100 + 9 + 40));
    // a = 6 is at entry (6 + 5) >> 2 = 2; a = -2 at 0.
    assert_eq!(program.trace(&[3, 1])[1][0], 100 + 3 - 30);
    assert_eq!(program.trace(&[0, 3])[1][0], 100 - 9 + 30);
}

#[test]
fn an_unchecked_domain_of_any_ends_has_a_size() {
    let domain = Domain::interval;
    assert_eq!(domain(5, 4).entries(), 0);
    assert_eq!(domain(i64::MAX, i64::MIN).entries(), 0);
    assert_eq!(domain(i64::MIN, 0).torus(), u64::MAX);
    assert_eq!(domain(-1, 1).torus(), 6);
    let shifted = |low, high, shift| Domain::Interval { low, high, shift };
    assert_eq!(shifted(5, 4, 3).entries(), 0);
    assert_eq!(shifted(5, -40, 3).entries(), 0);
    assert_eq!(shifted(i64::MIN, i64::MAX, u8::MAX).entries(), 1);
    assert_eq!(shifted(-4, 3, 2).entries(), 2);
    assert_eq!(shifted(-4, 4, 2).entries(), 3);
    assert_eq!(shifted(-4, 4, 2).torus(), 18);
    assert_eq!(Domain::Cyclic { modulus: 8 }.torus(), 8);
}

/// A sum, then a lookup of it in an interval that just holds it, then a sum: the worst inputs attain every proved end.
fn chain(weights: &[Vec<i32>], bias: &[i64], max: u16, table: &[i32], last: &[i32]) -> Parts {
    let row = |(weights, &bias): (&Vec<i32>, &i64)| {
        let terms = weights.iter().enumerate().filter(|(_, w)| **w != 0);
        Row {
            bias,
            terms: terms
                .map(|(index, &w)| term(Source::Input, index, w))
                .collect(),
        }
    };
    let rows: Vec<Row> = weights.iter().zip(bias).map(row).collect();
    let ends = rows.iter().map(|row| {
        let end = |sign: i32| {
            let most = row
                .terms
                .iter()
                .map(|t| i64::from((sign * t.weight).max(0)));
            i64::from(sign) * most.sum::<i64>() * i64::from(max)
        };
        (row.bias + end(-1), row.bias + end(1))
    });
    let ends: Vec<(i64, i64)> = ends.collect();
    let tables = ends.iter().map(|(low, high)| {
        let at = |k: i64| table[k as usize % table.len()];
        (0..=high - low).map(at).collect()
    });
    let lookup = Lookup {
        node: 0,
        domains: ends
            .iter()
            .map(|&(low, high)| Domain::interval(low, high))
            .collect(),
        tables: tables.collect(),
        edges: (0..ends.len()).map(|k| edge(k, k, k, 1)).collect(),
        bias: vec![0; ends.len()],
    };
    let terms = last.iter().enumerate().filter(|(_, w)| **w != 0);
    let sum = Row {
        bias: 0,
        terms: terms
            .map(|(index, &w)| term(Source::Node(1), index, w))
            .collect(),
    };
    Parts {
        name: String::new(),
        input: Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len: weights[0].len(),
            max,
        },
        nodes: vec![
            Node::Linear(Linear { rows }),
            Node::Lookup(lookup),
            Node::Linear(Linear { rows: vec![sum] }),
        ],
        output_scale: 1.0,
    }
}

proptest! {
    /// Any input stays within the proved ranges, and the worst input of a sum attains both ends of its range.
    #[test]
    fn proved_ranges_hold_and_are_attained(
        weights in prop::collection::vec(prop::collection::vec(-9..=9, 5), 3),
        bias in prop::collection::vec(-50_i64..50, 3),
        max in 1_u16..8,
        table in prop::collection::vec(-30..30, 1..40),
        last in prop::collection::vec(-4..=4, 3),
        input in prop::collection::vec(0_u16..8, 5),
    ) {
        let program = Program::try_from(chain(&weights, &bias, max, &table, &last)).unwrap();
        let input: Vec<u16> = input.iter().map(|&x| x.min(max)).collect();
        for (node, values) in program.trace(&input).iter().enumerate() {
            for (value, range) in values.iter().zip(program.ranges(node)) {
                prop_assert!(range.low <= *value && *value <= range.high);
            }
        }
        for (k, weights) in weights.iter().enumerate() {
            let worst = |sign: i32| -> Vec<u16> {
                weights.iter().map(|&w| if sign * w > 0 { max } else { 0 }).collect()
            };
            let range = program.ranges(0)[k];
            prop_assert_eq!(program.trace(&worst(-1))[0][k], range.low);
            prop_assert_eq!(program.trace(&worst(1))[0][k], range.high);
        }
    }

    /// A domain that is one value too narrow for the worst input is refused, at either end.
    #[test]
    fn a_domain_one_too_narrow_is_refused(
        weights in prop::collection::vec(prop::collection::vec(1..=9, 3), 2),
        bias in prop::collection::vec(-50_i64..50, 2),
        at in 0_usize..2,
        above: bool,
    ) {
        let mut parts = chain(&weights, &bias, 3, &[1, 2], &[1, 1]);
        let Node::Lookup(lookup) = &mut parts.nodes[1] else { unreachable!("a lookup") };
        let Domain::Interval { low, high, .. } = &mut lookup.domains[at] else { unreachable!() };
        if above { *high -= 1 } else { *low += 1 };
        lookup.tables[at].pop();
        let refused = matches!(
            Program::try_from(parts),
            Err(ProgramError::Leaves { node: 1, value, .. }) if value == at
        );
        prop_assert!(refused);
    }

    /// Modulo M, the value does not matter but for its remainder, and half a period turns the sign.
    #[test]
    fn cyclic_tables_are_antiperiodic(half in 1_usize..20, a in -(1_i64 << 40)..(1 << 40), seed: i32) {
        let table: Vec<i32> = (0..half as i32).map(|k| seed.wrapping_mul(k + 1) >> 8).collect();
        let domain = Domain::Cyclic { modulus: 2 * half as u32 };
        let at = |a| domain.look_up(&table, a).unwrap();
        prop_assert_eq!(at(a + half as i64), -at(a));
        prop_assert_eq!(at(a - 6 * half as i64), at(a));
        let k = a.unsigned_abs() as usize % half;
        prop_assert_eq!(at(k as i64), i64::from(table[k]));
    }
}
