//! Every refusal, by one change to a program that is one.

use super::{
    super::{tests::small, *},
    *,
};

fn refusal(change: impl FnOnce(&mut Parts)) -> ProgramError {
    let mut parts = small();
    change(&mut parts);
    Program::try_from(parts).unwrap_err()
}

fn linear_of(parts: &mut Parts, node: usize) -> &mut Linear {
    match &mut parts.nodes[node] {
        Node::Linear(linear) => linear,
        Node::Lookup(_) => unreachable!("a sum"),
    }
}

fn lookup_of(parts: &mut Parts) -> &mut Lookup {
    match &mut parts.nodes[1] {
        Node::Lookup(lookup) => lookup,
        Node::Linear(_) => unreachable!("a lookup"),
    }
}

#[test]
fn what_they_are_changed_from_is_a_program() {
    Program::try_from(small()).unwrap();
}

#[test]
fn impossible_inputs_are_refused() {
    let changes: [(fn(&mut Input), &str); 7] = [
        (|x| x.len = 0, "has no values"),
        (|x| x.max = 0, "has no values"),
        (|x| x.len = (1 << 20) + 1, "has more than 2^20 values"),
        (|x| x.len = 3, "needs one offset and one gain"),
        (|x| x.offset.clear(), "needs one offset and one gain"),
        (|x| x.offset[0] = f32::NAN, "that is not a number"),
        (|x| x.gain[1] = f32::INFINITY, "that is not a number"),
    ];
    for (change, why) in changes {
        let refused = refusal(|p| change(&mut p.input));
        assert!(matches!(refused, ProgramError::Input(_)));
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn what_has_no_result_is_refused() {
    assert_eq!(refusal(|p| p.nodes.clear()), ProgramError::Empty);
    assert_eq!(
        refusal(|p| linear_of(p, 0).rows.clear()),
        ProgramError::Empty
    );
    assert_eq!(refusal(|p| lookup_of(p).bias.clear()), ProgramError::Empty);
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let refused = refusal(|p| p.output_scale = scale);
        assert!(matches!(refused, ProgramError::Useless { node: 2, .. }));
    }
}

#[test]
fn references_to_what_is_not_there_are_refused() {
    let changes: [(fn(&mut Parts), (usize, &str, usize, usize)); 9] = [
        (
            |p| linear_of(p, 0).rows[1].terms[0].index = 2,
            (0, "value", 2, 2),
        ),
        (
            |p| linear_of(p, 2).rows[0].terms[1].index = 2,
            (2, "value", 2, 2),
        ),
        (
            |p| linear_of(p, 2).rows[0].terms[0].source = Source::Node(2),
            (2, "node", 2, 2),
        ),
        (
            |p| linear_of(p, 0).rows[0].terms[0].source = Source::Node(0),
            (0, "node", 0, 0),
        ),
        (|p| lookup_of(p).node = 1, (1, "node", 1, 1)),
        (|p| lookup_of(p).domains.truncate(1), (1, "domain", 1, 1)),
        (|p| lookup_of(p).edges[1].from = 2, (1, "value", 2, 2)),
        (
            |p| lookup_of(p).edges[1].to = usize::MAX,
            (1, "result", usize::MAX, 2),
        ),
        (|p| lookup_of(p).edges[2].table = 2, (1, "table", 2, 2)),
    ];
    for (change, (node, what, index, count)) in changes {
        let wanted = ProgramError::Missing {
            node,
            what,
            index,
            count,
        };
        assert_eq!(refusal(change), wanted);
    }
}

#[test]
fn factors_of_zero_are_refused() {
    let refused = refusal(|p| linear_of(p, 2).rows[0].terms[0].weight = 0);
    assert!(matches!(refused, ProgramError::Useless { node: 2, .. }));
    let refused = refusal(|p| lookup_of(p).edges[0].weight = 0);
    assert!(matches!(refused, ProgramError::Useless { node: 1, .. }));
}

#[test]
fn input_and_nodes_do_not_mix_even_in_different_rows() {
    let refused = refusal(|p| linear_of(p, 2).rows[0].terms[0].source = Source::Input);
    assert_eq!(refused, ProgramError::Mixed { node: 2 });
    let refused = refusal(|p| {
        let term = Term {
            source: Source::Input,
            index: 0,
            weight: 1,
        };
        linear_of(p, 2).rows.push(Row {
            bias: 0,
            terms: vec![term],
        });
    });
    assert_eq!(refused, ProgramError::Mixed { node: 2 });
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let wanted = |table, found, value, wanted| ProgramError::Table {
        node: 1,
        table,
        found,
        value,
        wanted,
    };
    assert_eq!(
        refusal(|p| lookup_of(p).tables[0].push(1)),
        wanted(0, 11, 0, 10)
    );
    assert_eq!(
        refusal(|p| lookup_of(p).tables[1].truncate(3)),
        wanted(1, 3, 1, 4)
    );
    assert_eq!(
        refusal(|p| lookup_of(p).edges[0].table = 1),
        wanted(1, 4, 0, 10)
    );
}

#[test]
fn impossible_domains_are_refused() {
    let domains = [
        Domain::interval(8, 7),
        Domain::interval(i64::MIN, i64::MAX),
        Domain::interval(0, 1 << 20),
        Domain::Interval {
            low: -2,
            high: 7,
            shift: 32,
        },
        Domain::Interval {
            low: -2,
            high: 7,
            shift: 255,
        },
        Domain::Interval {
            low: -2,
            high: (1 << 32) - 2,
            shift: 31,
        },
        Domain::Interval {
            low: 0,
            high: (1 << 31) - 1,
            shift: 10,
        },
        Domain::Cyclic { modulus: 0 },
        Domain::Cyclic { modulus: 7 },
        Domain::Cyclic {
            modulus: (1 << 20) + 2,
        },
    ];
    for domain in domains {
        let refused = refusal(|p| lookup_of(p).domains[0] = domain);
        assert!(
            matches!(
                refused,
                ProgramError::Domain {
                    node: 1,
                    value: 0,
                    ..
                }
            ),
            "{refused}"
        );
    }
}

#[test]
fn domains_that_the_worst_inputs_leave_are_refused() {
    let wanted = ProgramError::Leaves {
        node: 1,
        value: 0,
        low: -3,
        high: 6,
    };
    assert_eq!(refusal(|p| linear_of(p, 0).rows[0].bias -= 1), wanted);
    let refused = refusal(|p| linear_of(p, 0).rows[0].bias += 1);
    assert!(matches!(refused, ProgramError::Leaves { high: 8, .. }));
}

/// Numbers that would overflow sums of 64 bits, one by one or together, in whatever order they are added.
#[test]
fn what_no_torus_holds_is_refused() {
    const MOST: i64 = 1 << 48;
    let too_large = |node, value| ProgramError::TooLarge { node, value };
    for bias in [i64::MIN, i64::MAX, MOST + 1] {
        let refused = refusal(|p| {
            linear_of(p, 2).rows.push(Row {
                bias,
                terms: vec![],
            });
        });
        assert_eq!(refused, too_large(2, 1));
        let refused = refusal(|p| lookup_of(p).bias.push(bias));
        assert_eq!(refused, too_large(1, 2));
        assert_eq!(
            refusal(|p| linear_of(p, 0).rows[1].bias = bias),
            too_large(0, 1)
        );
    }
    let refused = refusal(|p| {
        let lookup = lookup_of(p);
        lookup.tables[1][0] = i32::MIN;
        lookup.edges[2].weight = i32::MIN;
    });
    assert_eq!(refused, too_large(1, 1));
    // Each below the limit, opposite in sign, together beyond it: another order of summing would not be safe.
    let refused = refusal(|p| {
        let lookup = lookup_of(p);
        lookup.tables[1] = vec![1 << 30; 4];
        lookup.edges[2].weight = 3 << 16;
        let back = Edge {
            weight: -(3 << 16),
            ..lookup.edges[2]
        };
        lookup.edges.push(back);
    });
    assert_eq!(refused, too_large(1, 1));
    // A sum of sums, doubling: 2^31·2^31 is beyond it.
    let refused = refusal(|p| {
        let double = |k| Row {
            bias: 0,
            terms: vec![Term {
                source: Source::Node(k),
                index: 0,
                weight: i32::MIN,
            }],
        };
        for k in 2..5 {
            p.nodes.push(Node::Linear(Linear {
                rows: vec![double(k)],
            }));
        }
    });
    assert_eq!(refused, too_large(4, 0));
}

#[test]
fn a_small_file_does_not_ask_for_years_of_checking() {
    let refused = refusal(|p| {
        let lookup = lookup_of(p);
        lookup.domains[0] = Domain::interval(-2, (1 << 20) - 3);
        lookup.tables[0] = vec![0; 1 << 20];
        lookup.edges = vec![lookup.edges[0]; 2049];
    });
    assert_eq!(refused, ProgramError::TooMany { node: 1 });
}

/// The widest domains there are: nothing overflows on the way.
#[test]
fn the_widest_domains_are_not_refused() {
    let mut parts = small();
    let lookup = lookup_of(&mut parts);
    lookup.domains[0] = Domain::Interval {
        low: -(1 << 31),
        high: (1 << 31) - 1,
        shift: 12,
    };
    lookup.tables[0] = vec![1; 1 << 20];
    Program::try_from(parts).unwrap();
}
