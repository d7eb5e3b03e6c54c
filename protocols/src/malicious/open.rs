//! Openings: after the proof, and compared at once.
//!
//! P_T lacks index T + 2. P_{T-1} sends it the share, P_{T+1} a hash of the share, and P_T compares before it sends anything that
//! depends on it. A comparison that comes later leaks: two honest parties that go on from different copies of a value become an
//! oracle for the cheater (ePrint 2026/234; protocols-malicious, section 7). One round; 8 bytes a value and 32 a chunk for the
//! hash, for each receiver.
//!
//! No gate opens anything: [`Checked`] is the only ticket, and only [`check`] makes one.

use bytemuck::cast_slice;
use sha2::{Digest, Sha256};
use tacit_mpc::{Error, Label, PartyId, R64, Result, Session};

use super::circuit::Circuit;
use super::log::Log;
use super::pair::Words;
use super::proof::verify;

/// Evidence that everything logged is proved. While it exists nothing more can be logged.
pub(super) struct Checked<'l>(&'l Log);

/// Proves everything logged.
///
/// # Errors
/// A proof does not hold, or a link or peer failed.
pub(super) fn check<'l>(s: &Session, log: &'l mut Log) -> Result<Checked<'l>> {
    verify(s, log)?;
    Ok(Checked(log))
}

impl Checked<'_> {
    /// Runs the opening of a tensor: if it fails, nothing of this session is ever opened again ([`Log::attempt`]).
    pub(super) fn attempt<T>(&self, s: &Session, step: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.attempt(s, "an opening", step)
    }

    /// Opens words to each of `receivers`; `None` at the others.
    pub(super) async fn open(
        &self,
        c: &Circuit<'_>,
        x: &Words,
        receivers: &[PartyId],
    ) -> Result<Option<Vec<R64>>> {
        let missing = self.missing(c, x, receivers).await?;
        let known = x.own.iter().zip(&*x.next);
        Ok(missing.map(|missing| known.zip(missing).map(|((&x, &y), z)| x + y + z).collect()))
    }

    /// The shares that each of `receivers` lacks; `None` at the others.
    pub(super) async fn missing(
        &self,
        c: &Circuit<'_>,
        x: &Words,
        receivers: &[PartyId],
    ) -> Result<Option<Vec<R64>>> {
        let label = c.strand.next_gate()?;
        let me = c.me();
        let (prev, next) = ((me + 2) % 3, (me + 1) % 3);
        // P_me has index T + 2 of the receiver T = me + 1 as its own and of T = me - 1 as its next.
        if receivers.contains(&next) {
            c.send_words(next, label, &x.own)?;
        }
        if receivers.contains(&prev) {
            let digest = digest(label, &x.next);
            c.strand
                .send(prev, label, 32, |out| out.extend_from_slice(&digest))?;
        }
        if !receivers.contains(&me) {
            return Ok(None);
        }
        let missing = c.recv_words(prev, label, x.own.len()).await?;
        let hash = c.strand.recv(next, label, 32).await?;
        if hash[..] != digest(label, &missing) {
            return Err(Error::CheckFailed {
                broken_off: false,
                what: format!(
                    "the opening of {label}: the share of party {prev} is not what party {next} confirms"
                ),
                suspects: vec![prev, next],
            });
        }
        Ok(Some(missing))
    }
}

/// SHA-256 of label, length and words. No key: who compares has the other copy from a party that may not lie unseen.
fn digest(label: Label, words: &[R64]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tacit opening v1")
        .chain_update(label.to_string())
        .chain_update((words.len() as u64).to_le_bytes())
        .chain_update(cast_slice::<R64, u8>(words))
        .finalize()
        .into()
}
