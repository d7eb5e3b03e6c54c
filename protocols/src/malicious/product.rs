//! Products: the only gate in which a party computes on shares of both others.
//!
//! z_i = Σ (x_i·(y_i + y_{i+1}) + x_{i+1}·y_i) + a_i - a_{i+1} goes from P_i to P_{i-1} (Araki, Furukawa, Lindell, Nof, Ohara,
//! CCS 2016), a_j = F(k_j). A malicious P_i can send another z_i and nothing else: z_i reaches one honest party, so the two
//! honest parties never hold different copies of a share, and what they hold is a sharing of the product plus an error that the
//! cheater knows. Exactly this error is E_i in the relation that the gate logs (protocols-malicious, section 2). One round;
//! 24 bytes a word, 3 bits a bit.

use std::rc::Rc;

use bytemuck::allocation::cast_vec;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::{Label, PartyId, Purpose, R64, Result};

use super::circuit::{Circuit, top};
use super::log::{Entry, Rest};
use super::pair::{Bits, Pair, Share, Words, difference};

/// Which shares of the operands can be other than zero: where many cannot, masks and messages are left out. The relations stay
/// the same, a missing mask being zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// All of them. 24 bytes a word, 3 bits a bit.
    Full,
    /// x only at index j, y only at index j + 1: z_j = x_j·y_{j+1} - a_{j+1}, z_{j+1} = a_{j+1}, z_{j+2} = 0. 8 bytes, 1 bit.
    Neighbours(PartyId),
    /// Both only at indices j and j + 1, so that P_j knows them: z_{j+1} = x_{j+1}·y_{j+1} + a_{j+1}, z_{j+2} = 0. 8 bytes, 1 bit.
    Known(PartyId),
    /// x only at indices j + 1 and j + 2, y only at j: a_{j+2} = 0, P_{j+1} is silent. 16 bytes, 2 bits.
    PairBySingle(PartyId),
}

impl Support {
    /// Whether the mask a_j is used.
    fn masks(self, index: PartyId) -> bool {
        match self {
            Self::Full => true,
            Self::Neighbours(j) | Self::Known(j) => index % 3 == (j + 1) % 3,
            Self::PairBySingle(j) => index % 3 != (j + 2) % 3,
        }
    }

    /// Whether the share of the second factor (else of the first) at an index must be zero.
    pub(crate) fn is_empty_at(self, second: bool, index: PartyId) -> bool {
        let at = |j: PartyId| index % 3 == j % 3;
        match self {
            Self::Full => false,
            Self::Neighbours(j) => !at(j + usize::from(second)),
            Self::Known(j) => at(j + 2),
            Self::PairBySingle(j) => at(j) != second,
        }
    }

    /// In tests: that the factors are where they are said to be. A share elsewhere would be left out of the product by all
    /// parties alike, and no proof would notice.
    #[cfg(any(test, debug_assertions))]
    fn check<W: Copy + Default + PartialEq>(self, me: PartyId, x: &Pair<Vec<W>>, y: &Pair<Vec<W>>) {
        for (second, factor) in [(false, x), (true, y)] {
            for (index, share) in [(me, &factor.own), (me + 1, &factor.next)] {
                assert!(
                    !self.is_empty_at(second, index) || share.iter().all(|&w| w == W::default()),
                    "{self:?}: a factor has a share at index {} of party {me}",
                    index % 3
                );
            }
        }
    }

    /// Whether P_i sends its summand.
    fn sends(self, i: PartyId) -> bool {
        match self {
            Self::Full => true,
            Self::Neighbours(j) | Self::Known(j) => i % 3 == j % 3,
            Self::PairBySingle(j) => i % 3 != (j + 1) % 3,
        }
    }
}

/// Σ x·y over pairs of factors of one length.
pub(crate) async fn product(
    c: &Circuit<'_>,
    terms: &[(Words, Words)],
    support: Support,
) -> Result<Words> {
    product_top(c, terms, support, 64).await
}

/// The same where every share of every product is a multiple of 2^(64 - `bits`): `bits` bits a message.
pub(crate) async fn product_top(
    c: &Circuit<'_>,
    terms: &[(Words, Words)],
    support: Support,
    bits: u32,
) -> Result<Words> {
    #[cfg(any(test, debug_assertions))]
    terms.iter().for_each(|(x, y)| support.check(c.me(), x, y));
    let label = c.strand.next_gate()?;
    let n = terms.first().map_or(0, |(x, _)| x.own.len());
    let masks = masks(c, label, support, n, bits)?;
    let (me, next) = (c.me(), c.me() + 1);
    // Whether both factors can be other than zero, of x and of y at this index or the next.
    let meet = |[x, y]: [usize; 2]| {
        !support.is_empty_at(false, me + x) && !support.is_empty_at(true, me + y)
    };
    let mut z = difference(&masks.own, &masks.next);
    if support == Support::Full {
        let z = Rc::make_mut(&mut z);
        terms.iter().for_each(|(x, y)| add_all_products(z, x, y));
    } else {
        for (x, y) in terms {
            for (at, x, y) in [
                ([0, 0], &x.own, &y.own),
                ([0, 1], &x.own, &y.next),
                ([1, 0], &x.next, &y.own),
            ] {
                if meet(at) {
                    add_products(&mut z, x, y);
                }
            }
        }
    }
    if support.sends(me) {
        c.send_top(me + 2, label, &z, bits)?;
    }
    let next = if support.sends(next) {
        Rc::new(c.recv_top(next, label, n, bits).await?)
    } else {
        // A silent party's summand is known to the party before it.
        let mut next = Rc::clone(&masks.next);
        if let Support::Known(_) = support {
            for (x, y) in terms {
                add_products(&mut next, &x.next, &y.next);
            }
        }
        next
    };
    let z = Pair { own: z, next };
    let mut left = masks.minus(&z);
    for (x, y) in terms {
        if meet([0, 0]) {
            add_products(&mut left.own, &x.own, &y.own);
        }
        if meet([1, 1]) {
            add_products(&mut left.next, &x.next, &y.next);
        }
    }
    let rest = Rest {
        left,
        right: Pair {
            own: negated(masks.own),
            next: negated(masks.next),
        },
    };
    let terms = terms.to_vec();
    let entry = Entry::Products {
        terms,
        support,
        rest,
    };
    c.log.push(label, entry)?;
    Ok(z)
}

/// sum += x·y.
fn add_products(sum: &mut Rc<Vec<R64>>, x: &[R64], y: &[R64]) {
    let (sum, factors) = (Rc::make_mut(sum).iter_mut(), x.iter().zip(y));
    vectorised(|| {
        let terms = sum.zip(factors);
        terms.for_each(|(s, (&x, &y))| *s += x * y);
    });
}

/// sum += x_i·(y_i + y_{i+1}) + x_{i+1}·y_i.
fn add_all_products(sum: &mut [R64], x: &Words, y: &Words) {
    let factors = x.own.iter().zip(&*x.next).zip(y.own.iter().zip(&*y.next));
    vectorised(|| {
        let terms = sum.iter_mut().zip(factors);
        terms.for_each(|(s, ((&x0, &x1), (&y0, &y1)))| *s += x0 * (y0 + y1) + x1 * y0);
    });
}

/// -x, in its place.
fn negated(mut x: Rc<Vec<R64>>) -> Rc<Vec<R64>> {
    if !R64::are_zeros(&x) {
        let x = Rc::make_mut(&mut x).iter_mut();
        vectorised(|| x.for_each(|x| *x = -*x));
    }
    x
}

/// The masks a_j at this party's indices; zero where they are left out.
fn masks(c: &Circuit<'_>, label: Label, support: Support, n: usize, bits: u32) -> Result<Words> {
    let mask = |j: PartyId| {
        if support.masks(j) {
            let words = top(c.strand.draw(j, label, Purpose::Zero, n)?, bits);
            Ok::<_, tacit_mpc::Error>(Rc::new(words))
        } else {
            Ok(R64::zeros(n))
        }
    };
    Ok(Pair {
        own: mask(c.me())?,
        next: mask(c.me() + 1)?,
    })
}

/// x ∧ y bit by bit, planes of the chunk's length one after the other. 3 bits a bit, 1 round.
pub(crate) async fn and(c: &Circuit<'_>, x: &Bits, y: &Bits) -> Result<Bits> {
    and_between(c, x, y, Support::Full).await
}

/// The same for operands of [`Support::Full`] or [`Support::PairBySingle`].
pub(crate) async fn and_between(
    c: &Circuit<'_>,
    x: &Bits,
    y: &Bits,
    support: Support,
) -> Result<Bits> {
    #[cfg(any(test, debug_assertions))]
    support.check(c.me(), x, y);
    let label = c.strand.next_gate()?;
    let (me, words) = (c.me(), x.own.len());
    let planes = words / c.len().div_ceil(64).max(1);
    // Bits past the end are not sent: they must be zero in what is proved as well.
    let (x, y) = (without_tail(c, x), without_tail(c, y));
    let masks = bit_masks(c, label, support, words)?;
    let z: Vec<u64> = vectorised(|| {
        let factors = x.own.iter().zip(&*x.next).zip(y.own.iter().zip(&*y.next));
        let terms = factors.zip(masks.own.iter().zip(&*masks.next));
        let summand = |(((x0, x1), (y0, y1)), (a, b))| (x0 & (y0 ^ y1)) ^ (x1 & y0) ^ a ^ b;
        terms.map(summand).collect()
    });
    if support.sends(me) {
        c.send_planes(me + 2, label, planes, &z)?;
    }
    let (right, mut left) = (masks.own, masks.next);
    let next = if support.sends(me + 1) {
        Rc::new(c.recv_planes(me + 1, label, planes).await?)
    } else {
        Rc::clone(&left)
    };
    vectorised(|| {
        let operands = x.next.iter().zip(&*y.next).zip(&*next);
        let left = Rc::make_mut(&mut left).iter_mut();
        left.zip(operands)
            .for_each(|(a, ((x, y), z))| *a ^= x & y ^ z);
    });
    let z = Pair {
        own: Rc::new(z),
        next,
    };
    let entry = Entry::Ands { x, y, left, right };
    c.log.push(label, entry)?;
    Ok(z)
}

/// Bits of the masks a_j at this party's indices; zero where they are left out, and past the end of the chunk.
fn bit_masks(c: &Circuit<'_>, label: Label, support: Support, words: usize) -> Result<Bits> {
    let Pair { own, next } = masks(c, label, support, words, 64)?;
    let bits = |a: Rc<Vec<R64>>| Rc::new(cast_vec(Rc::unwrap_or_clone(a)));
    let masks = Pair {
        own: bits(own),
        next: bits(next),
    };
    Ok(without_tail(c, &masks))
}

/// The planes with zeros past the end of the chunk.
fn without_tail(c: &Circuit<'_>, bits: &Bits) -> Bits {
    let (used, words) = (c.len() % 64, c.len().div_ceil(64));
    if used == 0 {
        return bits.clone();
    }
    bits.each(|planes| {
        let mut planes = planes.clone();
        for plane in planes.chunks_mut(words) {
            if let Some(last) = plane.last_mut() {
                *last &= (1 << used) - 1;
            }
        }
        planes
    })
}
