//! Which truncation a rounding is: T1 with its coin, or T3 without.
//!
//! T1 (`truncate.rs`) is the default. T3 (`exact.rs`) is for what is opened repeatedly from the same secrets: the coins of T1
//! would tell, opening by opening, the bits that it drops (requirement R9, SECURITY.md).

use std::rc::Rc;

use tacit_mpc::{R64, Result, Strand};

use super::choice::Methods;
use super::exact::truncate_exact;
use super::held::{Held, Words};
use super::truncate::truncate;

/// How a number loses its low bits.
#[derive(Clone, Debug)]
pub(crate) enum Rounding {
    /// T1: the floor or one unit more, by a coin that each party knows for itself.
    Dithered,
    /// T3: the floor.
    Exact(Rc<Methods>),
}

impl Rounding {
    /// x/2^p over Z_2^64 from this party's side of x = c + s mod 2^K, for -2^(K-2) <= x < 2^(K-2) and 0 < p <= K - 2.
    pub(crate) async fn apply(
        &self,
        strand: &Strand<'_>,
        side: &[R64],
        k: u32,
        p: u32,
    ) -> Result<Held<Words>> {
        match self {
            Self::Dithered => truncate(strand, side, k, p).await,
            Self::Exact(methods) => {
                let method = methods.carry(p, 3 * side.len());
                truncate_exact(strand, side, k, p, &method).await
            }
        }
    }
}
