//! Results on their way out: what each party gives to a recipient, and what the recipient makes of it.
//!
//! Semi-honest: P_i gives its re-randomised share x_i, and x = x_0 + x_1 + x_2.
//!
//! Malicious with abort: index j is held by P_j and P_{j-1}. P_j gives x_j and P_{j-1} gives SHA-256(j ‖ n ‖ x_j), and the
//! recipient takes x only where the copies of all three indices agree. One of the two holders of each index is honest, so a
//! party that lies about either of its copies is noticed, and can do no more than that: the recipient refuses. With all three
//! parts the hash tells the recipient nothing that it does not get anyway, and nobody else sees it. With two parts it is a way to
//! try values: of a result as short as a loss two parts tell, where semi-honest takes all three. 32 bytes a party more.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Words of a hash.
const DIGEST: usize = 4;

/// What one party gives to a recipient: its shares of a result, in two's complement fixed point, re-randomised. Wiped when it
/// is dropped.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Release {
    /// Its own shares: those of the three parties add up to the result.
    pub own: Vec<u64>,
    /// Where a party may cheat: the next party's shares, which this one holds too.
    pub next: Option<Vec<u64>>,
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
        "parties {} and {} state different copies of one share: one of them cheats, and the result is not to be believed",
        .0[0], .0[1]
    )]
    Copies([usize; 2]),
}

impl Release {
    /// Appends words that everybody knows, as a sharing: the first share is the words, the others are zero.
    pub fn push_public(&mut self, me: usize, words: &[u64]) {
        let part = |of: usize| words.iter().map(move |&w| if of == 0 { w } else { 0 });
        self.own.extend(part(me));
        if let Some(next) = &mut self.next {
            next.extend(part((me + 1) % 3));
        }
    }

    /// What is sealed to the recipient, who reads it by [`combined`]: the shares, and the hash of the other copy where there
    /// is one.
    #[must_use]
    pub fn words(&self, me: usize) -> Vec<u64> {
        let hash = self.next.as_ref().map(|next| digest((me + 1) % 3, next));
        [&self.own[..], hash.as_ref().map_or(&[], |h| &h[..])].concat()
    }
}

/// The result, from what parties 0, 1 and 2 gave ([`Release::words`]), with copies to compare where a party may cheat.
///
/// # Errors
/// [`ReleaseError`]: there is no result then.
pub fn combined(parts: [&[u64]; 3], copies: bool) -> Result<Vec<u64>, ReleaseError> {
    let lengths = parts.map(<[u64]>::len);
    let n = lengths[0].checked_sub(if copies { DIGEST } else { 0 });
    let n = n.filter(|_| lengths == [lengths[0]; 3]);
    let n = n.ok_or(ReleaseError::Length(lengths))?;
    let mut sum = vec![0u64; n];
    for (j, part) in parts.iter().enumerate() {
        let before = (j + 2) % 3;
        let (own, _) = part.split_at(n);
        if copies && digest(j, own)[..] != parts[before][n..] {
            return Err(ReleaseError::Copies([before, j]));
        }
        let words = sum.iter_mut().zip(own);
        words.for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
    }
    Ok(sum)
}

/// SHA-256 of an index, a number of words and the words.
fn digest(index: usize, words: &[u64]) -> [u64; DIGEST] {
    let mut hash = Sha256::new()
        .chain_update(b"tacit release v1")
        .chain_update([index as u8])
        .chain_update((words.len() as u64).to_le_bytes());
    for word in words {
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
                next: copies.then(|| share((me + 1) % 3)),
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
