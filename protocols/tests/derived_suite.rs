//! What every engine must pass, by the engine on the primitives of Araki et al.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::araki::Araki;
use tacit_protocols::suite::OnPrimitives;

const WORLD: OnPrimitives<Araki> = OnPrimitives {
    parties: 3,
    protocol: || Araki,
};

tacit_protocols::engine_suite!(WORLD, boolean);
