//! Each step of the page makes the test pass that it names, and the next one fail; at the end everything passes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tacit_add_a_protocol::*;
use tacit_protocols::derived::Primitives;
use tacit_protocols::suite::*;

fn world<P>(protocol: fn() -> P) -> OnPrimitives<P> {
    OnPrimitives {
        parties: 3,
        protocol,
    }
}

/// How many of the six parts pass before the first that fails.
fn passing<P: Primitives>(protocol: fn() -> P) -> usize {
    let parts: [fn(&OnPrimitives<P>); 6] = [
        part_1_public_words_open,
        part_2_inputs_of_words_open,
        part_3_products_open,
        part_4_matrix_products_open,
        part_5_inputs_of_bits_open,
        part_6_conjunctions_open,
    ];
    let world = world(protocol);
    let mut parts = parts.iter();
    let fails =
        |part: &fn(&OnPrimitives<P>)| catch_unwind(AssertUnwindSafe(|| part(&world))).is_err();
    parts.position(fails).unwrap_or(6)
}

#[test]
fn each_step_makes_one_more_named_test_pass() {
    let passing = [
        passing(|| step_0::MyProtocol),
        passing(|| step_1::MyProtocol),
        passing(|| step_2::MyProtocol),
        passing(|| step_3::MyProtocol),
        passing(|| step_4::MyProtocol),
        passing(|| step_5::MyProtocol),
        passing(|| step_6::MyProtocol),
    ];
    assert_eq!(passing, [0, 1, 2, 3, 4, 5, 6]);
    let page = include_str!("../../../add-a-protocol.md");
    for (step, named) in [
        "part_1_public_words_open",
        "part_2_inputs_of_words_open",
        "part_3_products_open",
        "part_4_matrix_products_open",
        "part_5_inputs_of_bits_open",
        "part_6_conjunctions_open",
    ]
    .into_iter()
    .enumerate()
    {
        let text = page.split("\n## Step ").nth(step + 1).unwrap_or_default();
        assert!(text.contains(named), "step {} names no {named}", step + 1);
    }
}

mod finished {
    const WORLD: super::OnPrimitives<super::Finished> = super::OnPrimitives {
        parties: 3,
        protocol: || super::Finished,
    };

    tacit_protocols::primitives_suite!(WORLD);
    tacit_protocols::engine_suite!(WORLD, boolean);
}
