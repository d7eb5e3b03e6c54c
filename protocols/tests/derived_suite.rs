//! What every engine must pass, by the engine on the primitives of Araki et al.

mod common;

use common::araki::Araki;
use common::watched::DealtByTheFirst;
use tacit_protocols::suite::{self, OnPrimitives};

const WORLD: OnPrimitives<Araki> = OnPrimitives {
    parties: 3,
    protocol: || Araki,
};

tacit_protocols::primitives_suite!(WORLD);
tacit_protocols::engine_suite!(WORLD, boolean);

/// Whoever deals knows the masks here, so what is sent is not looked at.
#[test]
fn results_are_the_same_on_correlations_that_are_dealt() {
    let world = OnPrimitives {
        parties: 3,
        protocol: || DealtByTheFirst,
    };
    suite::step_06_a_rounding_is_never_off_by_more_than_a_unit(&world);
    suite::step_07_signs_are_exact_at_every_edge(&world);
    suite::step_09_selections_and_relu_are_exact(&world);
    suite::step_10_floors_and_exact_roundings_have_no_coin(&world);
    suite::step_11_functions_are_right_over_their_ranges(&world);
    suite::step_12_random_graphs_are_what_they_are_in_the_ring(&world);
}
