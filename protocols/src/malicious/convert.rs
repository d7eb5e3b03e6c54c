//! From bits to words: the bit as a number, and bit times number.
//!
//! Each share b_j of a bit is known to two parties, so it is a sharing already (protocols-malicious, section 6, "B2A"):
//!     y = b_d + b_{d+1} - 2·b_d·b_{d+1},   b = y + b_{d+2} - 2·y·b_{d+2}.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{PartyId, R64, Result};

use super::circuit::Circuit;
use super::pair::{Bits, Share, Words, joint_beside};
use super::product::{Support, product, product_top};
use crate::rep3::bits::to_words;

/// The bit as 0 or 2^(64 - `bits`): a number modulo 2^`bits` that is multiplied by 2^(64 - `bits`). 3·`bits` bits, 2 rounds; 24 bytes
/// for the bit as 0 or 1 modulo 2^64.
pub(crate) async fn to_arithmetic(c: &Circuit<'_>, bit: &Bits, bits: u32) -> Result<Words> {
    let (n, me, d, up) = (c.len(), c.me(), c.dealer(), (64 - bits) as usize);
    let zero = R64::zeros(n);
    let share = |j: PartyId, up: usize| {
        let words = |plane: &Rc<Vec<u64>>| {
            let mut words = to_words(plane, n);
            words.iter_mut().for_each(|w| *w <<= up);
            Rc::new(words)
        };
        joint_beside(me, j, &zero, bit.at(me, j).map(words))
    };
    // Raised where they are added, plain where they are the second factor.
    let raised = |j: PartyId, plain: &Words| match up {
        0 => plain.clone(),
        _ => share(j, up),
    };
    let two = Wrapping(2);
    let (first, second, third) = (share(d, up), share(d + 1, 0), share(d + 2, 0));
    let sum = first.plus(&raised(d + 1, &second));
    let both = product_top(c, &[(first, second)], Support::Neighbours(d), bits).await?;
    let y = sum.minus(&both.times(two));
    let sum = y.plus(&raised(d + 2, &third));
    let all = product_top(c, &[(y, third)], Support::PairBySingle(d + 2), bits).await?;
    Ok(sum.minus(&all.times(two)))
}

/// bit·x: the bit as a number, and a product. 48 bytes, 3 rounds.
pub(crate) async fn select(c: &Circuit<'_>, bit: &Bits, x: &Words) -> Result<Words> {
    let bit = to_arithmetic(c, bit, 64).await?;
    product(c, &[(bit, x.clone())], Support::Full).await
}
