//! What all parties must have set alike, compared by the parties themselves before the first gate.
//!
//! Precision, rounding, the times of proofs and their parameters decide which messages there are and what they mean. The binding
//! of a session ([`tacit_mpc::keys`]) is made by its caller, who may forget one of them; this is not. Every party sends its
//! settings to both others: 72 bytes each and 1 round, at the start of a run and whenever they were changed. They are public, and
//! whoever lies about its own only ends the session.

use std::collections::BTreeSet;

use bytemuck::{cast_slice, pod_collect_to_vec};
use sha2::{Digest, Sha256};
use tacit_mpc::{Error, PartyId, Result, Session, Strand};

use super::proof::parameters;
use crate::cost::Exchanges;

/// Settings of an engine, a word each; what is longer is a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings([u64; WORDS]);

/// Names and widths in words.
const ITEMS: [(&str, usize); 6] = [
    ("version of the protocol", 1),
    ("number of fractional bits", 1),
    ("strength of proofs (σ and bits of the prime)", 1),
    ("schedule of the folds of a proof", 1),
    ("limit of bytes between proofs", 1),
    ("set of nodes rounded exactly (SHA-256)", 4),
];
const WORDS: usize = 9;

/// What [`Settings::agree`] costs.
pub(super) fn price(wires: &mut Exchanges<'_>) {
    let to_both = |party| [2, 1].map(|ahead| (party, (party + ahead) % 3, 8 * WORDS));
    wires.exchange((0..3).flat_map(to_both));
}

/// Goes up with every change of a gate's messages.
const VERSION: u64 = 2;

impl Settings {
    pub(super) fn new(fraction_bits: u32, verify_every: usize, exact: &BTreeSet<usize>) -> Self {
        let nodes: Vec<u64> = exact.iter().map(|&n| n as u64).collect();
        let bytes: Vec<u8> = nodes.iter().flat_map(|n| n.to_le_bytes()).collect();
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let mut words = [0; WORDS];
        words[0] = VERSION;
        words[1] = fraction_bits.into();
        [words[2], words[3]] = parameters();
        words[4] = verify_every as u64;
        for (word, bytes) in words[5..].iter_mut().zip(digest.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// Compares them with those of both other parties.
    ///
    /// # Errors
    /// [`Error::Settings`] where they differ; or a link or peer failed.
    pub(super) fn agree(&self, s: &Session) -> Result<()> {
        let exchanged = s.in_check(|| {
            s.fan_out(1, async |strand: Strand<'_>| {
                let label = strand.next_gate()?;
                let words = self.0.map(u64::to_le);
                let bytes: &[u8] = cast_slice(&words);
                for peer in [s.prev(), s.next()] {
                    strand.send(peer, label, bytes.len(), |out| out.extend_from_slice(bytes))?;
                }
                let mut theirs = Vec::with_capacity(2);
                for peer in [s.prev(), s.next()] {
                    let bytes = strand.recv(peer, label, bytes.len()).await?;
                    let mut words = [0; WORDS];
                    words.copy_from_slice(&pod_collect_to_vec::<u8, u64>(&bytes));
                    theirs.push((peer, Self(words.map(u64::from_le))));
                }
                Ok(theirs)
            })
        });
        let exchanged = exchanged?.into_iter().flat_map(|(_, t)| t);
        for (peer, theirs) in exchanged {
            self.compare(peer, &theirs)?;
        }
        Ok(())
    }

    fn compare(&self, peer: PartyId, theirs: &Self) -> Result<()> {
        let mut at = 0;
        for (what, width) in ITEMS {
            let of = |s: &Self| s.0[at..at + width].to_vec();
            let (ours, theirs) = (of(self), of(theirs));
            if ours != theirs {
                let show = |words: Vec<u64>| match words[..] {
                    [word] => word.to_string(),
                    _ => words.iter().map(|w| format!("{w:016x}")).collect(),
                };
                return Err(Error::Settings {
                    peer,
                    what,
                    ours: show(ours),
                    theirs: show(theirs),
                });
            }
            at += width;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_words_and_differences_are_named() {
        assert_eq!(ITEMS.iter().map(|i| i.1).sum::<usize>(), WORDS);
        let ours = Settings::new(18, 7, &BTreeSet::from([1, 2]));
        assert!(ours.compare(1, &ours.clone()).is_ok());
        let others = [
            (Settings::new(17, 7, &BTreeSet::from([1, 2])), "fractional"),
            (Settings::new(18, 8, &BTreeSet::from([1, 2])), "bytes"),
            (Settings::new(18, 7, &BTreeSet::from([1])), "nodes"),
        ];
        for (theirs, name) in others {
            let e = ours.compare(2, &theirs).unwrap_err().to_string();
            assert!(e.contains(name) && e.contains("party 2"), "{e}");
        }
        for word in 0..WORDS {
            let mut theirs = ours.clone();
            theirs.0[word] ^= 1;
            assert!(ours.compare(0, &theirs).is_err(), "word {word}");
        }
    }
}
