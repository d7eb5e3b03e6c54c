//! From bits to words: the bit as a number, and bit times number.

use std::num::Wrapping;

use tacit_mpc::{R64, Result};

use super::circuit::Circuit;
use super::correlation::{Correlation, draw, plane_words};
use super::primitives::Primitives;
use super::share::{Bits, Words};

/// The bits of planes as words 0 and 1, plane after plane: e = b ⊕ d is opened for a random bit d, which is known as a word too, and
/// b = e + (1 - 2e)·d (Rotaru, Wood, INDOCRYPT 2019). e is uniform. One bit opened for each, 1 round.
pub(super) async fn to_words<P: Primitives>(c: &Circuit<'_, P>, bits: &Bits) -> Result<Words> {
    let count = c.planes(bits);
    let (random, planes) = draw(c, &Correlation::Bits { count }).await?;
    let random = Words::concat(&random.iter().collect::<Vec<_>>());
    let opened = c.open_bits(&bits.xor(&planes)).await?;
    let e = plane_words(&opened, c.len());
    let signs: Vec<R64> = e.iter().map(|e| Wrapping(1) - (e << 1)).collect();
    Ok(c.plus_public(&random.times_each(&signs), &e))
}

/// bit·x: the bit as a number, and a product. 2 rounds.
pub(super) async fn select<P: Primitives>(
    c: &Circuit<'_, P>,
    bit: &Bits,
    x: &Words,
) -> Result<Words> {
    let bit = to_words(c, bit).await?;
    c.multiply(&bit, x).await
}
