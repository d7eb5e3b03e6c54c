//! Programs on ciphertexts, from key to decrypted result.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod device;
mod exact;
mod forged;
mod refused;
mod wide;
