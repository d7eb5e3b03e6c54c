//! The protocol of docs/add-a-protocol.md after each of its steps, as its blocks make it of the skeleton.

#![allow(
    unused_variables,
    unused_imports,
    dead_code,
    clippy::todo,
    reason = "what is not written yet leaves things unused"
)]

include!(concat!(env!("OUT_DIR"), "/steps.rs"));
