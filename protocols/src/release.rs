//! Results on their way out: what each party gives to a recipient, and what the recipient makes of it.
//!
//! Semi-honest: P_i gives its re-randomised share x_i, and x = x_0 + x_1 + x_2.
//!
//! Malicious with abort: index j is held by P_j and P_{j-1}. P_j gives x_j and r_j, P_{j-1} gives SHA-256(j ‖ n ‖ r_j ‖ x_j), and
//! the recipient takes x only where the copies of all three indices agree. One of the two holders of each index is honest, so a
//! party that lies about either of its copies is noticed, and can do no more than that: the recipient refuses. The salt
//! r_j = F(k_j, label), 128 bits that only these two know, makes the hash say nothing about x_j to whoever has not the part of
//! P_j: as few as two parts tell nothing of a result, be it as short as one number. With all three the hash tells nothing that
//! the recipient does not get anyway. 48 bytes a party more.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Words of a hash.
const DIGEST: usize = 4;
/// Words of a salt.
pub(crate) const SALT: usize = 2;

/// What one party gives to a recipient: its shares of a result, in two's complement fixed point, re-randomised. Wiped when it
/// is dropped.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Release {
    /// Its own shares: those of the three parties add up to the result.
    pub own: Vec<u64>,
    /// Where a party may cheat: what the recipient compares.
    pub copies: Option<Copies>,
}

/// What the recipient compares shares by.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Copies {
    /// The next party's shares, which this one holds too.
    pub next: Vec<u64>,
    /// The salts of the hashes of the own and of the next party's shares.
    pub salts: [[u64; SALT]; 2],
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Release")
            .field("len", &self.own.len())
            .finish_non_exhaustive()
    }
}

/// What parties gave does not make up a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The shares are not of one length.
    #[error("the parties' shares have different lengths: {0:?} words")]
    Length([usize; 3]),
    /// Two parties state different copies of a share: one of them lies.
    #[error(
        "party {} and party {} state different copies of one share: one of them cheats, and the result is not to be believed",
        .0[0], .0[1]
    )]
    Copies([usize; 2]),
}

impl Release {
    /// Appends words that everybody knows, as a sharing: the first share is the words, the others are zero.
    pub fn push_public(&mut self, me: usize, words: &[u64]) {
        let part = |of: usize| words.iter().map(move |&w| if of == 0 { w } else { 0 });
        self.own.extend(part(me));
        if let Some(copies) = &mut self.copies {
            copies.next.extend(part((me + 1) % 3));
        }
    }

    /// What is sealed to the recipient, who reads it by [`combined`]: the shares, and where there are copies the own salt and
    /// the hash of the next party's shares.
    #[must_use]
    pub fn words(&self, me: usize) -> Vec<u64> {
        let Some(Copies { next, salts }) = &self.copies else {
            return self.own.clone();
        };
        let hash = digest((me + 1) % 3, &salts[1], next);
        [&self.own[..], &salts[0], &hash].concat()
    }
}

/// The result, from what parties 0, 1 and 2 gave ([`Release::words`]), with copies to compare where a party may cheat.
///
/// # Errors
/// [`ReleaseError`]: there is no result then.
pub fn combined(parts: [&[u64]; 3], copies: bool) -> Result<Vec<u64>, ReleaseError> {
    let lengths = parts.map(<[u64]>::len);
    let n = lengths[0].checked_sub(if copies { SALT + DIGEST } else { 0 });
    let n = n.filter(|_| lengths == [lengths[0]; 3]);
    let n = n.ok_or(ReleaseError::Length(lengths))?;
    let mut sum = vec![0u64; n];
    for (j, part) in parts.iter().enumerate() {
        let before = (j + 2) % 3;
        let (own, rest) = part.split_at(n);
        if copies && digest(j, &rest[..SALT], own)[..] != parts[before][n + SALT..] {
            return Err(ReleaseError::Copies([before, j]));
        }
        let words = sum.iter_mut().zip(own);
        words.for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
    }
    Ok(sum)
}

/// SHA-256 of an index, a number of words, a salt and the words.
fn digest(index: usize, salt: &[u64], words: &[u64]) -> [u64; DIGEST] {
    let mut hash = Sha256::new()
        .chain_update(b"tacit release v2")
        .chain_update([index as u8])
        .chain_update((words.len() as u64).to_le_bytes());
    for word in salt.iter().chain(words) {
        hash.update(word.to_le_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut digest = [0; DIGEST];
    for (word, bytes) in digest.iter_mut().zip(hash.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What three parties give of x = x_0 + x_1 + x_2, with three public words.
    fn parts(copies: bool) -> [Vec<u64>; 3] {
        let share = |j: usize| vec![(j as u64 + 1) << 62, 5, j as u64];
        [0, 1, 2].map(|me| {
            let mut release = Release {
                own: share(me),
                copies: copies.then(|| Copies {
                    next: share((me + 1) % 3),
                    salts: [me, (me + 1) % 3].map(|j| [j as u64; SALT]),
                }),
            };
            release.push_public(me, &[9, u64::MAX]);
            release.words(me)
        })
    }

    fn all(parts: &[Vec<u64>; 3]) -> [&[u64]; 3] {
        parts.each_ref().map(Vec::as_slice)
    }

    #[test]
    fn shares_add_up_with_and_without_copies() {
        let want = vec![6u64.wrapping_mul(1 << 62), 15, 3, 9, u64::MAX];
        for copies in [false, true] {
            assert_eq!(combined(all(&parts(copies)), copies), Ok(want.clone()));
        }
    }

    /// Every word that a party gives, share or hash: changed, it makes the recipient refuse and suspect the liar.
    #[test]
    fn one_liar_makes_no_recipient_take_a_wrong_result() {
        let honest = parts(true);
        for (liar, word) in (0..3).flat_map(|p| (0..honest[p].len()).map(move |w| (p, w))) {
            let mut parts = honest.clone();
            parts[liar][word] ^= 1 << 17;
            let Err(ReleaseError::Copies(suspects)) = combined(all(&parts), true) else {
                panic!("word {word} of party {liar} is changed unnoticed");
            };
            assert!(suspects.contains(&liar), "{suspects:?} without {liar}");
        }
    }

    /// Of a short result two parts are no way to try values: the hash of the third share is salted by what only the third part
    /// tells.
    #[test]
    fn a_hash_depends_on_a_salt_that_its_sender_keeps() {
        let part = |salt: u64| {
            let copies = Copies {
                next: vec![7],
                salts: [[1; SALT], [salt; SALT]],
            };
            let own = vec![5];
            let copies = Some(copies);
            Release { own, copies }.words(0)
        };
        let (a, b) = (part(2), part(3));
        assert_eq!(a[..1 + SALT], [5, 1, 1]);
        assert_eq!(a[..1 + SALT], b[..1 + SALT]);
        assert_ne!(a[1 + SALT..], b[1 + SALT..]);
    }

    #[test]
    fn other_lengths_make_no_result() {
        for copies in [false, true] {
            let mut parts = parts(copies);
            parts[2].pop();
            assert_eq!(
                combined(all(&parts), copies),
                Err(ReleaseError::Length(parts.each_ref().map(Vec::len)))
            );
        }
        assert!(combined([&[1, 2]; 3], true).is_err());
    }
}
