//! The trees of [`crate::trees`] over logged conjunctions: 3 bits each, all of a level one message.

use tacit_mpc::Result;

use super::circuit::Circuit;
use super::pair::Bits;
use super::product::{Support, and_between};
use crate::trees::{self, BitShares};

pub(crate) use crate::trees::Group as GroupOf;

/// A group of positions.
pub(crate) type Group = GroupOf<Bits>;

impl BitShares for Bits {
    fn components(&self) -> impl Iterator<Item = &Vec<u64>> {
        [&*self.own, &*self.next].into_iter()
    }

    fn of(mut components: impl Iterator<Item = Vec<u64>>) -> Self {
        let mut next = || components.next().unwrap_or_default();
        Self::new(next(), next())
    }
}

fn words(c: &Circuit<'_>) -> usize {
    c.len().div_ceil(64)
}

/// [`trees::all`].
pub(crate) async fn all(c: &Circuit<'_>, planes: Vec<Bits>) -> Result<Bits> {
    let and = async |x: &Bits, y: &Bits| and_between(c, x, y, Support::Full).await;
    trees::all(words(c), planes, &and).await
}

/// [`trees::carry`].
pub(crate) async fn carry(c: &Circuit<'_>, g: Bits, p: Bits) -> Result<Bits> {
    let and = async |x: &Bits, y: &Bits| and_between(c, x, y, Support::Full).await;
    trees::carry(words(c), g, p, &and).await
}

/// [`trees::carries`].
pub(crate) async fn carries(c: &Circuit<'_>, groups: Vec<Group>) -> Result<Vec<Bits>> {
    let and = async |x: &Bits, y: &Bits| and_between(c, x, y, Support::Full).await;
    trees::carries(words(c), groups, &and).await
}

/// [`trees::prefixes`].
pub(crate) async fn prefixes(c: &Circuit<'_>, planes: Vec<Bits>) -> Result<Vec<Bits>> {
    let and = async |x: &Bits, y: &Bits| and_between(c, x, y, Support::Full).await;
    trees::prefixes(words(c), planes, &and).await
}
