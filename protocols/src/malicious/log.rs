//! What has to be proved: one entry for each message on which a result depends.
//!
//! A relation of prover P_i says that data of index i, which P_{i-1} knows too, and data of index i + 1, which P_{i+1} knows
//! too, fit together. All parties log the same relations in the same order; of each, a party has the data of its two indices.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tacit_mpc::{Bilinear, Error, Label, PartyId, R64, Result, Session, Tensor};

use super::failure::{Failures, surfaced};
use super::pair::{Bits, Pair, Words};
use super::product::Support;

/// What is left of a relation beside its products: tL_j and tR_j at this party's indices.
#[derive(Clone)]
pub(crate) struct Rest<T> {
    /// tL_j, which the left verifier P_{j-1} of prover P_j adds.
    pub(crate) left: Pair<T>,
    /// tR_j, which the right verifier P_j of prover P_{j-1} adds.
    pub(crate) right: Pair<T>,
}

/// One entry of the log.
pub(crate) enum Entry {
    /// For every element Σ_t (x_i·y_{i+1} + y_i·x_{i+1}) + tL_i + tR_{i+1} = 0 mod 2^64, for all three provers P_i.
    Products {
        /// The factors.
        terms: Vec<(Words, Words)>,
        /// Which shares of them are zero.
        support: Support,
        /// With tL_j = Σ_t x_j·y_j + a_j - z_j, tR_j = -a_j.
        rest: Rest<Vec<R64>>,
    },
    /// The same with a matrix product or a convolution f in the place of the product.
    Bilinear {
        /// The map.
        f: Bilinear,
        /// The first operand.
        x: Pair<Tensor>,
        /// The second operand.
        y: Pair<Tensor>,
        /// a_j - z_j, of the shape of the result: f(x_j, y_j) is added where it is cheap, after compression.
        left: Pair<Tensor>,
        /// -a_j.
        right: Pair<Tensor>,
    },
    /// The same over bits: x_i∧y_{i+1} ⊕ y_i∧x_{i+1} ⊕ tL_i ⊕ tR_{i+1} = 0 for every bit, 64 to a word.
    Ands {
        /// The first operand.
        x: Bits,
        /// The second operand.
        y: Bits,
        /// tL_{me+1}, which this party adds to the proof of P_{me+1}: tL_j = x_j∧y_j ⊕ a_j ⊕ z_j.
        left: Rc<Vec<u64>>,
        /// tR_me, which it adds to the proof of P_{me-1}: tR_j = a_j.
        right: Rc<Vec<u64>>,
    },
    /// Relations of one prover about the bits of words.
    BitDots(BitDots),
}

/// For every word and every relation: Σ_b w(b)·β_b·γ_b + tL + tR = 0 mod 2^64, where P_dealer knows everything, P_{dealer-1} has
/// β and tL (index `dealer`) and P_{dealer+1} has γ and tR (index `dealer + 1`).
pub(crate) struct BitDots {
    /// The prover.
    pub(crate) dealer: PartyId,
    /// Number of words.
    pub(crate) len: usize,
    /// β, at the dealer and the party before it.
    pub(crate) beta: Option<Rc<Vec<R64>>>,
    /// γ, at the dealer and the party after it.
    pub(crate) gamma: Option<Rc<Vec<R64>>>,
    /// What holds for each word.
    pub(crate) relations: Vec<BitRelation>,
}

/// One relation of [`BitDots`].
pub(crate) struct BitRelation {
    /// The weights of the bits.
    pub(crate) weight: Weight,
    /// tL, where β is known.
    pub(crate) left: Option<Rc<Vec<R64>>>,
    /// tR, where γ is known.
    pub(crate) right: Option<Rc<Vec<R64>>>,
}

/// w(b) = 2^(b + up - from) for bits b >= from, else 0: a non-negative integer below 2^65, the same for both verifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The lowest bit that counts.
    pub(crate) from: u32,
    /// log2 of its weight, at most 1 + `from`.
    pub(crate) up: u32,
}

impl Weight {
    /// log2 of the weight of bit b, where it is not zero.
    #[cfg(test)]
    pub(crate) fn log2(self, b: u32) -> Option<u32> {
        (b >= self.from).then(|| b - self.from + self.up)
    }
}

/// What an entry takes besides its words, about: a constant, because all parties must count alike, whatever built them.
const ENTRY: usize = 256;

impl Entry {
    /// Bytes that a party keeps for the entry at most, the same at all three, who must come to one decision about when to prove:
    /// what a party holds less of by its role counts as if it held it, and vectors that several entries share count for each.
    pub(super) fn size(&self) -> usize {
        let words = match self {
            Self::Products { terms, rest, .. } => 4 * (terms.len() + 1) * rest.left.own.len(),
            Self::Bilinear {
                x, y, left, right, ..
            } => {
                let each = [x, y, left, right].map(|x| 2 * x.own.len());
                each.iter().sum()
            }
            Self::Ands { right, .. } => 6 * right.len(),
            Self::BitDots(dots) => 2 * (1 + dots.relations.len()) * dots.len,
        };
        ENTRY + words * size_of::<u64>()
    }
}

/// The relations since the last proof.
#[derive(Default)]
pub(crate) struct Log {
    entries: RefCell<BTreeMap<Label, Entry>>,
    /// The sum of their sizes.
    size: Cell<usize>,
    /// A proof was begun and did not succeed: this log never proves anything again.
    failed: Cell<bool>,
    failures: RefCell<Failures>,
}

impl Log {
    /// Logs what the gate `label` owes. All parties prove in the order of labels: that in which strands come to their gates
    /// differs from party to party.
    ///
    /// # Errors
    /// [`Error::Reuse`] where the gate has logged already.
    pub(crate) fn push(&self, label: Label, entry: Entry) -> Result<()> {
        self.alive()?;
        self.size.set(self.size.get() + entry.size());
        match self.entries.borrow_mut().insert(label, entry) {
            Some(_) => Err(Error::Reuse { label }),
            None => Ok(()),
        }
    }

    /// Looks at the entries without taking them.
    #[cfg(test)]
    pub(crate) fn look<T>(&self, f: impl Fn(&Entry) -> T) -> Vec<T> {
        self.entries.borrow().values().map(f).collect()
    }

    /// Bytes held for the proof at most, the same at all parties: what a limit of memory is about.
    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    /// The first and the last gate of the log, where there is one.
    pub(crate) fn span(&self) -> Option<String> {
        let entries = self.entries.borrow();
        let (first, _) = entries.first_key_value()?;
        let (last, _) = entries.last_key_value()?;
        Some(format!("[{first}] to [{last}]"))
    }

    /// Counts failures there from now on.
    pub(crate) fn count_failures(&self, failures: &Failures) {
        *self.failures.borrow_mut() = failures.clone();
    }

    /// Where failures are counted.
    pub(crate) fn failures(&self) -> Failures {
        self.failures.borrow().clone()
    }

    /// Refuses to go on after a proof that did not succeed: what was computed before it must never be given out.
    ///
    /// # Errors
    /// [`Error::CheckFailed`] from then on.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.failed.get() {
            return Err(Error::CheckFailed {
                broken_off: false,
                what: "an earlier step of this session, whose proof did not succeed".into(),
                suspects: vec![0, 1, 2],
            });
        }
        Ok(())
    }

    /// Runs a step behind a challenge: unless it succeeds, the log is dead, the keys are wiped and a failure is counted.
    ///
    /// # Errors
    /// What went wrong, as [`surfaced`] says, about `what`.
    pub(crate) fn attempt<T>(
        &self,
        s: &Session,
        what: &str,
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.alive()?;
        // Set before, so that a panic does not leave it open either.
        self.failed.set(true);
        match step() {
            Ok(x) => {
                self.failed.set(false);
                Ok(x)
            }
            Err(e) => {
                s.wipe_keys();
                self.failures.borrow().add();
                Err(surfaced(e, what, s.me()))
            }
        }
    }

    /// Takes everything out, to be proved.
    pub(crate) fn take(&self) -> Vec<Entry> {
        self.size.take();
        self.entries.take().into_values().collect()
    }
}
