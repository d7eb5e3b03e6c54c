//! From bits to words: the bit as a number, and bit times number.
//!
//! Each share b_j of a bit is known to two parties, so it is a sharing already (protocols-malicious, section 6, "B2A"):
//!     y = b_d + b_{d+1} - 2·b_d·b_{d+1},   b = y + b_{d+2} - 2·y·b_{d+2}.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{PartyId, R64, Result};

use super::circuit::Circuit;
use super::pair::{Bits, Words};
use super::product::{Support, product, product_top};
use crate::rep3::bits::to_words;

/// The bit as 0 or 2^(64 - `bits`): a number modulo 2^`bits` that is multiplied by 2^(64 - `bits`). 3·`bits` bits, 2 rounds; 24 bytes
/// for the bit as 0 or 1 modulo 2^64.
pub(crate) async fn to_arithmetic(c: &Circuit<'_>, bit: &Bits, bits: u32) -> Result<Words> {
    let (n, d, up) = (c.len(), c.dealer(), (64 - bits) as usize);
    let share = |j: PartyId, up: usize| {
        let words = |plane: &Rc<Vec<u64>>| {
            let words = to_words(plane, n);
            Rc::new(words.into_iter().map(|w| w << up).collect::<Vec<R64>>())
        };
        c.joint(j, n, bit.at(c.me(), j).map(words))
    };
    let two = Wrapping(2);
    let (first, second, third) = (share(d, up), share(d + 1, 0), share(d + 2, 0));
    let terms = [(first.clone(), second)];
    let both = product_top(c, &terms, Support::Neighbours(d), bits).await?;
    let y = first.plus(&share(d + 1, up)).minus(&both.times(two));
    let terms = [(y.clone(), third)];
    let all = product_top(c, &terms, Support::PairBySingle(d + 2), bits).await?;
    Ok(y.plus(&share(d + 2, up)).minus(&all.times(two)))
}

/// bit·x: the bit as a number, and a product. 48 bytes, 3 rounds.
pub(crate) async fn select(c: &Circuit<'_>, bit: &Bits, x: &Words) -> Result<Words> {
    let bit = to_arithmetic(c, bit, 64).await?;
    product(c, &[(bit, x.clone())], Support::Full).await
}
