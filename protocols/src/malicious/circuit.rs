//! One chunk of a tensor on its way through gates that are logged.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::wire::{append, append_planes, packed_len, unpack, unpack_planes};
use tacit_mpc::{Chunk, Label, PartyId, R64, Result, Session, Strand};

use super::log::Log;
use super::pair::{Pair, Share, joint};

/// A strand and the log of what it must prove.
pub(crate) struct Circuit<'s> {
    /// The chunk, its messages and draws.
    pub(crate) strand: Strand<'s>,
    /// Where its gates leave their relations.
    pub(crate) log: &'s Log,
}

/// Runs `gate` for every chunk of `n` elements and gives each result to `sink`, in any order.
///
/// # Errors
/// The first error of a chunk or of `sink`, a failed link, or a peer out of step.
pub(crate) fn for_each_chunk<T>(
    session: &Session,
    log: &Log,
    n: usize,
    gate: impl AsyncFn(&Circuit<'_>) -> Result<T>,
    sink: impl FnMut(Chunk, T) -> Result<()>,
) -> Result<()> {
    let gate = async |strand: Strand<'_>| gate(&Circuit { strand, log }).await;
    session.for_each_chunk(n, gate, sink)
}

/// The words cut to multiples of 2^(64 - `bits`).
pub(crate) fn top(mut words: Vec<R64>, bits: u32) -> Vec<R64> {
    if bits < 64 {
        let mask = Wrapping(u64::MAX << (64 - bits));
        vectorised(|| words.iter_mut().for_each(|w| *w &= mask));
    }
    words
}

impl Circuit<'_> {
    /// This party.
    pub(crate) fn me(&self) -> PartyId {
        self.strand.session().me()
    }

    /// Elements of the chunk.
    pub(crate) fn len(&self) -> usize {
        self.strand.chunk().len()
    }

    /// The party that deals for this chunk.
    pub(crate) fn dealer(&self) -> PartyId {
        self.strand.chunk().dealer
    }

    /// Whether this party knows index j.
    #[cfg(test)]
    pub(crate) fn knows(&self, j: PartyId) -> bool {
        (j + 3 - self.me()) % 3 < 2
    }

    /// The sharing of a vector that P_j and P_{j-1} both know, `Some` there.
    pub(crate) fn joint<W: Share>(
        &self,
        j: PartyId,
        n: usize,
        v: Option<Rc<Vec<W>>>,
    ) -> Pair<Vec<W>> {
        joint(self.me(), j, n, v)
    }

    #[cfg(test)]
    /// `n` words of F(k_j, label, purpose) where this party knows index j.
    pub(crate) fn draw(
        &self,
        j: PartyId,
        label: Label,
        purpose: tacit_mpc::Purpose,
        n: usize,
    ) -> Result<Option<Vec<R64>>> {
        self.knows(j)
            .then(|| self.strand.draw(j, label, purpose, n))
            .transpose()
    }

    pub(crate) fn send_words(&self, to: PartyId, label: Label, words: &[R64]) -> Result<()> {
        self.send_top(to, label, words, 64)
    }

    pub(crate) async fn recv_words(
        &self,
        from: PartyId,
        label: Label,
        n: usize,
    ) -> Result<Vec<R64>> {
        self.recv_top(from, label, n, 64).await
    }

    /// Sends the upper `bits` bits of words.
    pub(crate) fn send_top(
        &self,
        to: PartyId,
        label: Label,
        words: &[R64],
        bits: u32,
    ) -> Result<()> {
        let len = packed_len(words.len(), bits as usize);
        self.strand.send(to % 3, label, len, |out| {
            if bits == 64 {
                append(words, 64, out);
            } else {
                let low = words.iter().map(|w| w >> (64 - bits) as usize);
                let low: Vec<R64> = vectorised(|| low.collect());
                append(&low, bits, out);
            }
        })
    }

    /// Receives words of which the upper `bits` bits were sent: the others are zero.
    pub(crate) async fn recv_top(
        &self,
        from: PartyId,
        label: Label,
        n: usize,
        bits: u32,
    ) -> Result<Vec<R64>> {
        let len = packed_len(n, bits as usize);
        let bytes = self.strand.recv(from % 3, label, len).await?;
        let mut words = vec![R64::default(); n];
        unpack(&bytes, bits, &mut words);
        if bits < 64 {
            vectorised(|| words.iter_mut().for_each(|w| *w <<= (64 - bits) as usize));
        }
        Ok(words)
    }

    /// Sends planes of `self.len()` bits that lie one after the other.
    pub(crate) fn send_planes(
        &self,
        to: PartyId,
        label: Label,
        count: usize,
        bits: &[u64],
    ) -> Result<()> {
        let len = packed_len(count, self.len());
        self.strand.send(to % 3, label, len, |out| {
            append_planes(bits, count, self.len(), out);
        })
    }

    pub(crate) async fn recv_planes(
        &self,
        from: PartyId,
        label: Label,
        count: usize,
    ) -> Result<Vec<u64>> {
        let n = self.len();
        let bytes = self
            .strand
            .recv(from % 3, label, packed_len(count, n))
            .await?;
        if n.is_multiple_of(64) {
            // Planes of whole words, without writing zeros first.
            let words = bytes.as_chunks().0.iter();
            return Ok(words.map(|w| u64::from_le_bytes(*w)).collect());
        }
        let mut bits = vec![0u64; count * n.div_ceil(64)];
        unpack_planes(&bytes, n, &mut bits);
        Ok(bits)
    }
}
