//! Opening to all computing parties.
//!
//! All to all, everybody sends its share to everybody: n(n - 1) messages, 1 round. Through one party, which adds up and sends the sum:
//! 2(n - 1) messages, 2 rounds. With two parties both take as many bytes; from four parties on, long messages go through the party whose
//! turn the chunk is, since there the second round is paid once for a whole tensor, whose chunks are on their way together, and at
//! least a third of the bytes is saved on each message. Short ones, where rounds are what is waited for, and those of three
//! parties, where a third is saved at the price of twice the rounds, go all to all.
//!
//! Semi-honest. Shares that are opened are uniform, given what is opened, to any n - 1 parties.

use bytes::{Bytes, BytesMut};
use tacit_mpc::wire::{append, append_planes, packed_len, unpack_planes, unpacked};
use tacit_mpc::{PartyId, R64, Result, Strand};

/// Messages of so many bytes go through one party, from four parties on.
const LONG: usize = 1 << 13;

/// What is opened: shares that add up.
pub(super) trait Shares: Sized {
    /// Bytes of a message.
    fn bytes(&self) -> usize;
    /// The message.
    fn append(&self, out: &mut BytesMut);
    /// Adds what a message of that length says.
    fn add(&mut self, message: &[u8]);
    /// Becomes what a message of that length says.
    fn set(&mut self, message: &[u8]);
}

/// Words of Z_2^64.
impl Shares for Vec<R64> {
    fn bytes(&self) -> usize {
        packed_len(self.len(), 64)
    }

    fn append(&self, out: &mut BytesMut) {
        append(self, 64, out);
    }

    fn add(&mut self, message: &[u8]) {
        let words = unpacked(message, 64, self.len());
        self.iter_mut().zip(words).for_each(|(x, y)| *x += y);
    }

    fn set(&mut self, message: &[u8]) {
        *self = unpacked(message, 64, self.len());
    }
}

/// Planes of n bits each.
pub(super) struct Planes {
    pub(super) count: usize,
    pub(super) n: usize,
    pub(super) words: Vec<u64>,
}

impl Shares for Planes {
    fn bytes(&self) -> usize {
        packed_len(self.count, self.n)
    }

    fn append(&self, out: &mut BytesMut) {
        append_planes(&self.words, self.count, self.n, out);
    }

    fn add(&mut self, message: &[u8]) {
        let mut words = vec![0; self.words.len()];
        unpack_planes(message, self.n, &mut words);
        self.words.iter_mut().zip(words).for_each(|(x, y)| *x ^= y);
    }

    fn set(&mut self, message: &[u8]) {
        unpack_planes(message, self.n, &mut self.words);
    }
}

/// Opens shares to the parties 0 to `computing` - 1; at another one they stay as they are.
pub(super) async fn open<S: Shares>(
    strand: &Strand<'_>,
    computing: usize,
    mut shares: S,
) -> Result<S> {
    let (me, len) = (strand.session().me(), shares.bytes());
    let label = strand.next_gate()?;
    let others = || (0..computing).filter(|&p| p != me);
    let together = computing < 4 || len < LONG;
    let back = if together { label } else { strand.next_gate()? };
    if me >= computing {
        // Whoever does not compute sees nothing, and counts gates alike.
        return Ok(shares);
    }
    if together {
        send_all(strand, others(), label, &shares)?;
        for peer in others() {
            shares.add(&strand.recv(peer, label, len).await?);
        }
        return Ok(shares);
    }
    let king = strand.chunk().dealer;
    if me == king {
        for peer in others() {
            shares.add(&strand.recv(peer, label, len).await?);
        }
        send_all(strand, others(), back, &shares)?;
    } else {
        send_all(strand, [king].into_iter(), label, &shares)?;
        let sum: Bytes = strand.recv(king, back, len).await?;
        shares.set(&sum);
    }
    Ok(shares)
}

fn send_all<S: Shares>(
    strand: &Strand<'_>,
    mut to: impl Iterator<Item = PartyId>,
    label: tacit_mpc::Label,
    shares: &S,
) -> Result<()> {
    to.try_for_each(|peer| strand.send(peer, label, shares.bytes(), |out| shares.append(out)))
}
