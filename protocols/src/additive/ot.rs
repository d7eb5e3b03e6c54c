//! Oblivious transfer between two parties: base transfers, and as many more as are wanted from these.
//!
//! `cryprot-ot` (0.2, MIT, kept) was looked at and not taken: its protocols speak over a concrete QUIC connection of
//! `cryprot-net` inside of tokio, with no trait to put a session's labelled messages under, so neither deadlines, cost
//! counts nor simulated networks of a session would hold for it; and it pins exact versions of `aes` and an older
//! `curve25519-dalek` beside those of this workspace. What is here follows the same papers on a session's own messages.

pub(crate) mod base;
pub(crate) mod extension;
pub(crate) mod hash;
pub(crate) mod setup;
pub(crate) mod tree;

/// Bits of a global difference, and base transfers for it.
pub(crate) const SECURITY: usize = 128;
/// Bits of it that one tree carries: 2^4 streams for 4 bits, so that a transfer costs 32 bits on the wire instead of 128.
pub(crate) const DEPTH: usize = 4;
/// Leaves of a tree.
pub(crate) const LEAVES: usize = 1 << DEPTH;
/// Trees.
pub(crate) const TREES: usize = SECURITY / DEPTH;
