//! Which truncation a rounding is: T1 with its coin, or T3 without.
//!
//! T1 (`truncate.rs`) is the default. T3 (`exact.rs`) is for what is opened repeatedly from the same secrets: the coins of T1
//! would tell, opening by opening, the bits that it drops (requirement R9, SECURITY.md).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tacit_mpc::{R64, Result, Strand};

use super::exact::{CARRY_DEPTH, truncate_exact};
use super::held::{Held, Words};
use super::plan::{Depth, Method};
use super::truncate::truncate;

/// Methods of comparisons, each planned once.
#[derive(Debug, Default)]
pub(crate) struct Trees(RefCell<HashMap<(u32, Depth), Rc<Method>>>);

impl Trees {
    /// The cheapest of a depth for two or more bits.
    pub(crate) fn get(&self, bits: u32, depth: Depth) -> Rc<Method> {
        let mut trees = self.0.borrow_mut();
        let method = trees
            .entry((bits, depth))
            .or_insert_with(|| Rc::new(Method::cheapest(bits, depth)));
        Rc::clone(method)
    }
}

/// How a number loses its low bits.
#[derive(Clone, Debug)]
pub(crate) enum Rounding {
    /// T1: the floor or one unit more, by a coin that each party knows for itself.
    Dithered,
    /// T3: the floor.
    Exact(Rc<Trees>),
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
            Self::Exact(trees) => {
                let method = trees.get(p.max(2), CARRY_DEPTH);
                truncate_exact(strand, side, k, p, &method).await
            }
        }
    }
}
