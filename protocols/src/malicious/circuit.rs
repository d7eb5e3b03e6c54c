//! One chunk of a tensor on its way through gates that are logged.

use tacit_mpc::wire::{pack, pack_planes, packed_len, unpack, unpack_planes};
use tacit_mpc::{Label, PartyId, Purpose, R64, Result, Strand};

use super::log::Log;

/// A strand and the log of what it must prove.
pub(crate) struct Circuit<'s> {
    /// The chunk, its messages and draws.
    pub(crate) strand: Strand<'s>,
    /// Where its gates leave their relations.
    pub(crate) log: &'s Log,
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
    pub(crate) fn knows(&self, j: PartyId) -> bool {
        (j + 3 - self.me()) % 3 < 2
    }

    /// `n` words of F(k_j, label, purpose) where this party knows index j.
    pub(crate) fn draw(
        &self,
        j: PartyId,
        label: Label,
        purpose: Purpose,
        n: usize,
    ) -> Result<Option<Vec<R64>>> {
        self.knows(j)
            .then(|| self.strand.draw(j, label, purpose, n))
            .transpose()
    }

    pub(crate) fn send_words(&self, to: PartyId, label: Label, words: &[R64]) -> Result<()> {
        let len = packed_len(words.len(), 64);
        self.strand
            .send(to % 3, label, len, |out| pack(words, 64, out))
    }

    pub(crate) async fn recv_words(
        &self,
        from: PartyId,
        label: Label,
        n: usize,
    ) -> Result<Vec<R64>> {
        let bytes = self.strand.recv(from % 3, label, packed_len(n, 64)).await?;
        let mut words = vec![R64::default(); n];
        unpack(&bytes, 64, &mut words);
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
        self.strand
            .send(to % 3, label, len, |out| pack_planes(bits, self.len(), out))
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
        let mut bits = vec![0u64; count * n.div_ceil(64)];
        unpack_planes(&bytes, n, &mut bits);
        Ok(bits)
    }
}
