//! The relations over Z_2^64 with their random combinations, ready for the quotients and for the field.

use tacit_mpc::{Error, Kernels, PartyId, R64, Result};

use super::super::log::{BitDots, Entry, Rest};
use super::super::pair::{Pair, Words};
use super::super::product::Support;
use super::Relations;
use super::challenge::Coin;
use super::pages::{Page, compress};
use super::strength::combinations;

/// Relations of one entry of the log.
pub(super) enum Kind<'l> {
    /// Elementwise products.
    Products {
        terms: &'l [(Words, Words)],
        support: Support,
        rest: &'l Rest<Vec<R64>>,
    },
    /// A compressed matrix product.
    Page(Pair<Page>),
    /// Bits of words.
    Dots(&'l BitDots),
}

/// An entry with the bits of its combinations.
pub(super) struct Part<'l> {
    pub(super) kind: Kind<'l>,
    /// Where its combinations come from.
    number: usize,
    /// Relations of each prover, for bit dots of each of them.
    relations: usize,
}

impl Part<'_> {
    /// The σ bits of each relation; the same whenever it is asked for.
    pub(super) fn tau(&self, coin: &Coin<Relations>) -> Vec<u64> {
        let mut words = coin.words("combinations", self.number, self.relations);
        words.iter_mut().for_each(|w| *w &= combinations());
        words
    }

    /// Whether this party takes part in relations of bits as prover, left or right verifier.
    pub(super) fn dealer(&self) -> Option<PartyId> {
        match self.kind {
            Kind::Dots(dots) => Some(dots.dealer),
            _ => None,
        }
    }
}

/// The parts of a log, in its order; AND gates have a field of their own.
///
/// # Errors
/// [`Error::Shape`] where an entry does not fit itself.
pub(super) fn parts<'l>(
    log: &'l [Entry],
    coin: &Coin<Relations>,
    kernels: &dyn Kernels,
) -> Result<Vec<Part<'l>>> {
    let mut parts = Vec::with_capacity(log.len());
    let mut push = |kind, relations| {
        let number = parts.len();
        parts.push(Part {
            kind,
            number,
            relations,
        });
    };
    for (number, entry) in log.iter().enumerate() {
        match entry {
            Entry::Products {
                terms,
                support,
                rest,
            } => {
                let kind = Kind::Products {
                    terms,
                    support: *support,
                    rest,
                };
                push(kind, rest.right.own.len());
            }
            Entry::Bilinear {
                f,
                x,
                y,
                left,
                right,
            } => {
                let bits = |side: &str, n| coin.words(side, number, n);
                let pages = compress(kernels, *f, [x, y, left, right], bits)?;
                let (own, next) = (unshared(pages.own)?, unshared(pages.next)?);
                for (own, next) in own.into_iter().zip(next) {
                    let relations = own.rows * own.columns;
                    push(Kind::Page(Pair::new(own, next)), relations);
                }
            }
            Entry::BitDots(dots) => push(Kind::Dots(dots), dots.len * dots.relations.len()),
            Entry::Ands { .. } => {}
        }
    }
    Ok(parts)
}

fn unshared<T>(x: std::rc::Rc<T>) -> Result<T> {
    std::rc::Rc::try_unwrap(x).map_err(|_| Error::Exhausted {
        what: "compressed matrices",
    })
}
