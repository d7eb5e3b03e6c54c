//! What an engine has of a device: which is trusted, what stays there, how much of it is taken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod factors;
mod grids;
mod lanes;
mod lazy;
mod memory;
mod residents;
mod trial;
