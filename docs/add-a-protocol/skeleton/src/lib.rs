//! A protocol to be: docs/add-a-protocol.md says what goes where.
//!
//! Each `todo!` is where a step of that page goes, and what a test that needs it fails with: they are the point of a skeleton. A test
//! of the repository writes them all, step by step (`check`).

use std::num::Wrapping;

use tacit_mpc::ring::row_major;
use tacit_mpc::wire::{append, append_planes, packed_len, unpack_planes, unpacked};
use tacit_mpc::{Label, PartyId, Purpose, R64, Result, Session, Strand, Tensor};
use tacit_protocols::derived::{Bits, Primitives, Shared, Term, Words, share_chunks};

/// The protocol: what it keeps between gates. This one keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct MyProtocol;

impl Primitives for MyProtocol {
    fn name(&self) -> &'static str {
        "my-protocol"
    }

    fn one(&self, session: &Session) -> Vec<bool> {
        todo!("step 1: where a public number stands")
    }

    async fn open_words(&self, strand: &Strand<'_>, x: &Words) -> Result<Vec<R64>> {
        todo!("step 1: open words")
    }

    async fn input_words(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        n: usize,
        mine: Option<&[R64]>,
    ) -> Result<Vec<Words>> {
        todo!("step 2: share words")
    }

    async fn product(&self, strand: &Strand<'_>, terms: &[(Words, Words)]) -> Result<Words> {
        todo!("step 3: multiply words")
    }

    fn bilinear(
        &self,
        session: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Shared<Tensor>> {
        todo!("step 4: multiply tensors")
    }

    async fn input_bits(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        planes: usize,
        mine: Option<&[u64]>,
    ) -> Result<Vec<Bits>> {
        todo!("step 5: share bits")
    }

    async fn open_bits(&self, strand: &Strand<'_>, planes: usize, x: &Bits) -> Result<Vec<u64>> {
        todo!("step 5: open bits")
    }

    async fn and(&self, strand: &Strand<'_>, planes: usize, x: &Bits, y: &Bits) -> Result<Bits> {
        todo!("step 6: conjunctions")
    }
}

/// The party `k` places after this one, of three.
fn after(strand: &Strand<'_>, k: usize) -> PartyId {
    (strand.session().me() + k) % 3
}

/// Sends words to a party, 8 bytes each.
fn send(strand: &Strand<'_>, to: PartyId, label: Label, x: &[R64]) -> Result<()> {
    strand.send(to, label, packed_len(x.len(), 64), |out| append(x, 64, out))
}

/// `n` words from a party; another length is refused.
async fn recv(strand: &Strand<'_>, from: PartyId, label: Label, n: usize) -> Result<Vec<R64>> {
    let bytes = strand.recv(from, label, packed_len(n, 64)).await?;
    Ok(unpacked(&bytes, 64, n))
}

/// Sends planes of bits to a party, 1 bit each.
fn send_bits(
    strand: &Strand<'_>,
    to: PartyId,
    label: Label,
    planes: usize,
    x: &[u64],
) -> Result<()> {
    let n = strand.chunk().len();
    strand.send(to, label, packed_len(planes, n), |out| {
        append_planes(x, planes, n, out);
    })
}

/// Planes of bits from a party.
async fn recv_bits(
    strand: &Strand<'_>,
    from: PartyId,
    label: Label,
    planes: usize,
) -> Result<Vec<u64>> {
    let n = strand.chunk().len();
    let bytes = strand.recv(from, label, packed_len(planes, n)).await?;
    let mut x = vec![0; planes * n.div_ceil(64)];
    unpack_planes(&bytes, n, &mut x);
    Ok(x)
}
