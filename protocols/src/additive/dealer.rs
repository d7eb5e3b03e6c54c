//! Correlations from a dealer: a party that takes part in no computation and holds nobody's data.
//!
//! It shares a key with each computing party. A correlation (a, b, c) is drawn by all of them from their keys; the dealer draws what each
//! draws, so that it knows a = Σ a_i and b = Σ b_i, and sends c - Σ_{i ≠ k} c_i to one party P_k alone, which takes that for its
//! c_k (the seeds as in ABY2.0's setup, Patra et al., USENIX Security 2021; triples: Beaver, CRYPTO 1991). k goes round with the
//! chunks. The dealer receives nothing but empty messages, which say that a window of strands has ended and bound how far it is ahead
//! ([`tacit_mpc::Session::bound_lead`]), so it learns how far the others are; a coalition of all computing parties but one sees draws
//! under the key that the last one shares with the dealer only through c, of which that party's own part is uniform.
//!
//! Adversary: semi-honest; the dealer colludes with nobody. A dealer that colludes with one computing party reads every input, and one that lies
//! makes results wrong: nothing checks its triples.

use tacit_mpc::wire::{append, append_planes, packed_len, unpack_planes, unpacked};
use tacit_mpc::{Label, PartyId, Purpose, R64, Result, Strand};

/// Which part a party has in a correlation that the dealer completes.
pub(super) enum Hand {
    /// It deals.
    Dealer,
    /// Its share of what is completed comes from the dealer.
    Corrected,
    /// It draws everything.
    Drawn,
}

/// Dealer and computing parties.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) dealer: PartyId,
    /// The computing parties are those below.
    pub(super) computing: usize,
}

impl Table {
    pub(super) fn hand(&self, strand: &Strand<'_>) -> Hand {
        match strand.session().me() {
            me if me == self.dealer => Hand::Dealer,
            me if me == strand.chunk().dealer => Hand::Corrected,
            _ => Hand::Drawn,
        }
    }

    /// What the parties draw together, `n` words each: at the dealer Σ or ⊕ of all, elsewhere this party's own.
    pub(super) fn drawn(
        &self,
        strand: &Strand<'_>,
        label: Label,
        n: usize,
        add: impl Fn(R64, R64) -> R64,
    ) -> Result<Vec<R64>> {
        if strand.session().me() != self.dealer {
            return strand.draw_with(self.dealer, label, Purpose::Correlation, n);
        }
        let mut sum = vec![R64::default(); n];
        for peer in 0..self.computing {
            let part = strand.draw_with(peer, label, Purpose::Correlation, n)?;
            sum.iter_mut().zip(part).for_each(|(s, p)| *s = add(*s, p));
        }
        Ok(sum)
    }

    /// This party's shares of words that only the dealer gives. 8 bytes a word, from the dealer.
    pub(super) async fn words(
        &self,
        strand: &Strand<'_>,
        n: usize,
        known: impl FnOnce() -> Result<Vec<R64>>,
    ) -> Result<Vec<R64>> {
        let label = strand.next_gate()?;
        let corrected = strand.chunk().dealer;
        match self.hand(strand) {
            Hand::Dealer => {
                let mut last = known()?;
                for peer in (0..self.computing).filter(|&p| p != corrected) {
                    let part = strand.draw_with(peer, label, Purpose::Correlation, n)?;
                    last.iter_mut().zip(part).for_each(|(l, p)| *l -= p);
                }
                strand.send(corrected, label, packed_len(n, 64), |out| {
                    append(&last, 64, out)
                })?;
                Ok(vec![R64::default(); n])
            }
            Hand::Corrected => {
                let bytes = strand.recv(self.dealer, label, packed_len(n, 64)).await?;
                Ok(unpacked(&bytes, 64, n))
            }
            Hand::Drawn => strand.draw_with(self.dealer, label, Purpose::Correlation, n),
        }
    }

    /// This party's shares of `planes` planes of bits of the chunk that only the dealer gives. 1 bit a bit, from the dealer.
    pub(super) async fn planes(
        &self,
        strand: &Strand<'_>,
        planes: usize,
        known: impl FnOnce() -> Result<Vec<u64>>,
    ) -> Result<Vec<u64>> {
        let (label, n) = (strand.next_gate()?, strand.chunk().len());
        let (words, len) = (planes * n.div_ceil(64), packed_len(planes, n));
        let corrected = strand.chunk().dealer;
        let draw = |peer| -> Result<Vec<u64>> {
            let part = strand.draw_with(peer, label, Purpose::Correlation, words)?;
            Ok(part.into_iter().map(|w| w.0).collect())
        };
        match self.hand(strand) {
            Hand::Dealer => {
                let mut last = known()?;
                for peer in (0..self.computing).filter(|&p| p != corrected) {
                    last.iter_mut().zip(draw(peer)?).for_each(|(l, p)| *l ^= p);
                }
                strand.send(corrected, label, len, |out| {
                    append_planes(&last, planes, n, out)
                })?;
                Ok(vec![0; words])
            }
            Hand::Corrected => {
                let bytes = strand.recv(self.dealer, label, len).await?;
                let mut last = vec![0; words];
                unpack_planes(&bytes, n, &mut last);
                Ok(last)
            }
            Hand::Drawn => draw(self.dealer),
        }
    }
}
