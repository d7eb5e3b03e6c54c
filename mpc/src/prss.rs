//! Pseudo-random secret sharing: draws that two parties compute without talking.
//!
//! Each two parties of a session share a key. Among three, k_j is the key of P_j and P_{j-1}, the two holders of share j (Cramer,
//! Damgård, Ishai, TCC 2005). A draw is F(k, address), F = AES-128 in counter mode: the address fills the upper 96 bits of the
//! counter block, the position the lower 32. Addresses are structured (requirement R1 of protocols-rep3, section 9), never running counts, so that
//! the order in which gates run does not matter (R6), and a draw is never made under one address for two purposes (R2).

use std::cell::{Cell, RefCell};

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use bytemuck::cast_slice_mut;
use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use crate::kernels::aes::RoundKeys;
use crate::session::Label;
use crate::{Error, PartyId, R64, Result};

/// What a draw is for. The purpose is part of its address, so no block of the stream ever serves two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A share of zero for resharing a product.
    Zero = 1,
    /// One half of a value that the dealer deals.
    Deal = 2,
    /// The mask of one message of a swap.
    Swap = 3,
    /// The share of an input that its owner does not send.
    Input = 4,
    /// Re-randomisation of what leaves for a recipient.
    Release = 5,
    /// A part of a public coin.
    Coin = 7,
    /// The right verifier's share of the quotients of a proof.
    Quotient = 8,
    /// The right verifier's share of a polynomial of a proof.
    Polynomial = 9,
    /// The masking node of a proof on its prover's side of the left verifier.
    LeftNode = 10,
    /// The masking node of a proof on its prover's side of the right verifier.
    RightNode = 11,
    /// The salt of a hash that a recipient compares a share by.
    Salt = 12,
    /// One party's part of a correlation that a dealer completes.
    Correlation = 13,
    /// The root of a key of a distributed comparison function.
    Root = 14,
    /// Streams and tweaks of oblivious transfers.
    Transfer = 15,
}

/// Blocks drawn from one key at most (R2). A session that needs more renews its keys
/// ([`crate::Session::renew_keys`]).
pub const MAX_BLOCKS: u64 = 1 << 36;

/// Blocks encrypted at once: 4 kB stay in the first-level cache.
const BLOCKS: usize = 256;

/// One pairwise key.
pub(crate) struct Key {
    cipher: Aes128,
    /// The same for vectors, where the processor has them.
    #[cfg(target_arch = "x86_64")]
    vectors: Option<RoundKeys>,
    blocks: Cell<u64>,
    limit: u64,
}

impl Key {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self {
            cipher: Aes128::new(&Array::from(*key)),
            #[cfg(target_arch = "x86_64")]
            vectors: RoundKeys::new(key),
            blocks: Cell::new(0),
            limit: MAX_BLOCKS,
        }
    }

    /// Fills `out` with the stream at `address`.
    fn fill(&self, address: u128, out: &mut [u64]) -> Result<()> {
        let blocks = out.len().div_ceil(2) as u64;
        let used = self.blocks.get() + blocks;
        if used > self.limit || blocks > u64::from(u32::MAX) {
            return Err(Error::Exhausted {
                what: "pseudo-random blocks",
            });
        }
        self.blocks.set(used);
        let mut counter = address;
        #[cfg(target_arch = "x86_64")]
        let out = {
            let done = self.vectors.as_ref().map_or(0, |v| v.fill(address, out));
            counter += done as u128 / 2;
            &mut out[done..]
        };
        let (pairs, last) = out.as_chunks_mut::<2>();
        for group in pairs.chunks_mut(BLOCKS) {
            let blocks: &mut [[u8; 16]] = cast_slice_mut(group);
            for block in &mut *blocks {
                *block = counter.to_be_bytes();
                counter += 1;
            }
            self.cipher
                .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
            // The stream is bytes; words are read from it least significant byte first.
            group
                .as_flattened_mut()
                .iter_mut()
                .for_each(|w| *w = u64::from_le(*w));
        }
        if let [word] = last {
            let mut block = [Array::from(counter.to_be_bytes())];
            self.cipher.encrypt_blocks(&mut block);
            let bytes = block[0].first_chunk::<8>().copied().unwrap_or_default();
            *word = u64::from_le_bytes(bytes);
        }
        Ok(())
    }
}

/// The stream of a seed that somebody else drew: F(seed, 0).
///
/// # Panics
/// Never for fewer than 2^33 words, more than fit in memory.
#[must_use]
pub fn expand_seed(seed: &[u8; 16], n: usize) -> Vec<R64> {
    let mut out = vec![R64::default(); n];
    Key::new(seed)
        .fill(0, cast_slice_mut(&mut out))
        .expect("a tensor has fewer than 2^33 words");
    out
}

/// The stream of [`expand_seed`], part by part: what is too long to be kept is drawn again.
pub struct SeedStream(Key);

impl std::fmt::Debug for SeedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedStream").finish_non_exhaustive()
    }
}

impl SeedStream {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: &[u8; 16]) -> Self {
        Self(Key::new(seed))
    }

    /// Fills `out` with the stream at an address ([`Label::address`]), as a session's keys give it.
    ///
    /// # Errors
    /// [`Error::Exhausted`] after [`MAX_BLOCKS`].
    pub fn fill_at(&self, address: u128, out: &mut [u64]) -> Result<()> {
        self.0.fill(address, out)
    }

    /// The words 2·`pair`, 2·`pair` + 1, … of the stream.
    ///
    /// # Panics
    /// Never for words below the 2^33rd, more than fit in memory.
    pub fn fill(&self, pair: u32, out: &mut [u64]) {
        self.0
            .fill(pair.into(), out)
            .expect("a tensor has fewer than 2^33 words");
    }
}

/// Where the index of a key stands in an address, in two bits: that of a replicated share, or the value that says that the draw
/// belongs to two parties and no share.
const INDEX: u32 = 38;
/// The index of draws between two parties.
const PAIR: u128 = 3;

/// This party's keys: one with each other party of the session.
pub struct Prss {
    me: PartyId,
    /// By peer, none at this party's own place; `None` when they were wiped.
    keys: RefCell<Option<Vec<Option<Key>>>>,
    parties: usize,
    /// Public, the same at all parties, and another in each session and epoch.
    pub(crate) salt: u128,
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) probe: probe::Probe,
}

impl std::fmt::Debug for Prss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prss")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Prss {
    /// From the key with each peer of a session of so many parties, and its public salt.
    pub(crate) fn new(
        me: PartyId,
        parties: usize,
        salt: u128,
        key: impl Fn(PartyId) -> [u8; 16],
    ) -> Self {
        let with = |peer| {
            (peer != me).then(|| {
                let mut bytes = key(peer);
                let key = Key::new(&bytes);
                bytes.zeroize();
                key
            })
        };
        Self {
            me,
            keys: RefCell::new(Some((0..parties).map(with).collect())),
            parties,
            salt,
            #[cfg(any(test, feature = "test-util"))]
            probe: probe::Probe::default(),
        }
    }

    /// Lowers the number of blocks that each key gives: to `blocks`, where that is less than [`MAX_BLOCKS`].
    pub fn limit(&mut self, blocks: u64) {
        for key in self.keys.get_mut().iter_mut().flatten().flatten() {
            key.limit = blocks.min(MAX_BLOCKS);
        }
    }

    /// The number of blocks that each key gives.
    pub(crate) fn limited_to(&self) -> u64 {
        let keys = self.keys.borrow();
        let first = keys.iter().flatten().flatten().next();
        first.map_or(MAX_BLOCKS, |key| key.limit)
    }

    /// Whether a key has given half of its blocks.
    pub(crate) fn is_half_used(&self) -> bool {
        let keys = self.keys.borrow();
        let mut keys = keys.iter().flatten().flatten();
        keys.any(|key| key.blocks.get() >= key.limit / 2)
    }

    /// Wipes the keys where they lie: their schedules are overwritten when they are dropped.
    pub(crate) fn wipe(&self) {
        *self.keys.borrow_mut() = None;
    }

    /// The number of parties of the session.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Fills `out` with F(k_j, address), among three parties. `j` must be this party's index or the next.
    pub(crate) fn draw(
        &self,
        j: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        if self.parties != 3 {
            return Err(Error::Parties {
                have: self.parties,
                need: "3",
            });
        }
        // Share me is the previous party's too, share me + 1 the next one's.
        let peer = [(self.me + 2) % 3, (self.me + 1) % 3][(j + 3 - self.me) % 3];
        // The index is part of the address: keys that a cheater made equal on its links give no equal masks.
        self.fill(peer, label.address(purpose) | (j as u128) << INDEX, j, out)
    }

    /// Fills `out` with F(k, address) for the key with `peer`, which draws the same. Streams of the two directions of a link are
    /// told apart by their labels or purposes.
    pub(crate) fn draw_with(
        &self,
        peer: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        // A test's ledger knows the keys of pairs by numbers behind those of shares.
        let (low, high) = (peer.min(self.me), peer.max(self.me));
        let key = 3 + low * self.parties + high;
        self.fill(peer, label.address(purpose) | PAIR << INDEX, key, out)
    }

    fn fill(&self, peer: PartyId, address: u128, _key: usize, out: &mut [R64]) -> Result<()> {
        let keys = self.keys.borrow();
        let keys = keys.as_ref().ok_or(Error::KeysWiped)?;
        let key = keys.get(peer).and_then(Option::as_ref);
        let key = key.ok_or(Error::Net(crate::net::Error::NoLink { peer }))?;
        key.fill(address, cast_slice_mut(out))?;
        #[cfg(any(test, feature = "test-util"))]
        self.probe.observe(_key, address, out);
        Ok(())
    }
}

/// Keys from a seed and a view of every draw: for tests only.
#[cfg(any(test, feature = "test-util"))]
pub mod probe {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    use sha2::{Digest, Sha256};

    use super::Prss;
    use crate::{PartyId, R64};

    /// One draw as its holder saw it: (key, address, words).
    pub type Draw = (PartyId, u128, Vec<R64>);

    /// What a test may watch and change.
    #[derive(Default)]
    pub struct Probe {
        /// Every draw made, where a ledger is attached.
        pub ledger: RefCell<Option<Arc<Mutex<Vec<Draw>>>>>,
        /// The (key, address) of a draw whose every word is changed by [`change`], at both holders.
        pub changed: RefCell<Option<(PartyId, u128)>>,
    }

    /// A changed draw: each word with bits of its own flipped, always the lowest one too.
    #[must_use]
    pub fn change(words: &[R64]) -> Vec<R64> {
        let flip = |k: usize| (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        words
            .iter()
            .enumerate()
            .map(|(k, w)| std::num::Wrapping(w.0 ^ flip(k)))
            .collect()
    }

    impl Probe {
        pub(super) fn observe(&self, j: PartyId, address: u128, out: &mut [R64]) {
            if *self.changed.borrow() == Some((j, address)) {
                let changed = change(out);
                out.copy_from_slice(&changed);
            }
            if let Some(ledger) = &*self.ledger.borrow() {
                ledger
                    .lock()
                    .expect("no test panics while it holds the ledger")
                    .push((j, address, out.to_vec()));
            }
        }
    }

    impl Prss {
        /// The keys of party `me` of three derived from a public seed.
        #[must_use]
        pub fn from_seed(me: PartyId, seed: u64) -> Self {
            Self::from_seed_among(3, me, seed)
        }

        /// The same for any number of parties.
        #[must_use]
        pub fn from_seed_among(parties: usize, me: PartyId, seed: u64) -> Self {
            Self::new(me, parties, seed.into(), |peer| {
                let digest = Sha256::new()
                    .chain_update(b"test key")
                    .chain_update(seed.to_le_bytes());
                let (low, high) = (me.min(peer) as u8, me.max(peer) as u8);
                // Among three, that of a share by its index.
                let digest = match (parties, low, high) {
                    (3, 0, 2) => digest.chain_update([0]),
                    (3, ..) => digest.chain_update([high]),
                    _ => digest.chain_update([low, high]),
                };
                let digest = digest.finalize();
                let mut k = [0; 16];
                k.copy_from_slice(&digest[..16]);
                k
            })
        }

        /// Both keys of a party of three the same, as a cheater between two links would like them to be.
        #[must_use]
        pub fn from_equal_keys(me: PartyId, key: [u8; 16]) -> Self {
            Self::new(me, 3, 0, |_| key)
        }

        /// What a test may watch and change.
        #[must_use]
        pub fn probe(&self) -> &Probe {
            &self.probe
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix C.1: the block cipher under the stream is AES-128.
    #[test]
    fn stream_is_aes_128_in_counter_mode() {
        let key = Key::new(&std::array::from_fn(|i| i as u8));
        let mut out = [0u64; 5];
        key.fill(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, &mut out)
            .unwrap();
        assert_eq!(
            out[0].to_le_bytes(),
            [0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30]
        );
        assert_eq!(
            out[1].to_le_bytes(),
            [0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a]
        );
        let mut long = [0u64; 301];
        key.fill(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, &mut long)
            .unwrap();
        assert_eq!(long[..5], out);
        let mut next = [0u64; 2];
        key.fill(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff + 150, &mut next)
            .unwrap();
        assert_eq!(long[300], next[0]);
    }

    #[test]
    fn r2_a_key_gives_a_bounded_number_of_blocks() {
        let key = Key::new(&[7; 16]);
        key.blocks.set(MAX_BLOCKS - 1);
        assert!(key.fill(0, &mut [0; 2]).is_ok());
        assert!(matches!(
            key.fill(0, &mut [0; 2]),
            Err(Error::Exhausted { .. })
        ));
    }
}
