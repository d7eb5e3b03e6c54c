//! Random graphs on shares against the integer specification.

use proptest::prelude::*;
use tacit_protocols::suite::{MALICIOUS, REP3, random_graph};

type Words = Vec<(u8, usize, usize)>;

fn words() -> impl Strategy<Value = Words> {
    prop::collection::vec((0u8..17, any::<usize>(), any::<usize>()), 1..12)
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-8.0f64..8.0, 18)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_random_graph_is_on_shares_what_it_is_in_the_ring(w in words(), exact: bool, v in values()) {
        prop_assert_eq!(random_graph(&REP3, &w, exact, &v), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_random_graph_is_on_proved_shares_what_it_is_in_the_ring(w in words(), exact: bool, v in values()) {
        prop_assert_eq!(random_graph(&MALICIOUS, &w, exact, &v), Ok(()));
    }
}
