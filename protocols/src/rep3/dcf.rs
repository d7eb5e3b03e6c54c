//! Comparison and equality by function secret sharing: one message of the dealer and one swap.
//!
//! For x = c + s, c known to A and B, s to D, |x| < 2^k,
//!     carry = \[~c mod 2^k < s mod 2^k\],   msb = carry ⊕ c_k ⊕ s_k;      \[x = 0\] = \[c = -s\].
//! D makes the two keys of a distributed comparison function for α = s mod 2^k (`dcf/key.rs`; Boyle et al., Eurocrypt 2021) or
//! of a distributed point function for α = -s (Boyle, Gilboa, Ishai, CCS 2016). Their roots are draws that D shares with A and
//! with B; the correction words go to both. A and B evaluate at what both know, without the masked opening that the papers
//! need, and swap.
//!
//! Semi-honest and exact, but **computational**: the correction words are masked by no pad. A's rest on the root of B, which A
//! does not know, through a fixed-key generator (SECURITY.md), and so the other way round. A root is drawn for one value of one
//! gate of one run (R1, R5); a message sent again is the same bytes (R3).
//!
//! 2·128·(k - 6) + 3 bits for k >= 7: 1824.4 bytes in 2 rounds for k = 63, D's included; equality 2·128·58 + 2 bits, 1856.25
//! bytes. D hashes 4·(k - 7) + 2 blocks a value, A and B k - 6 each. Deviations from the specification: early termination, and
//! a word of 128 bits a level instead of 131 (seeds of 125 bits).

use bytes::BufMut;
use tacit_mpc::{Purpose, R64, Result, Role, Strand};

use super::bits::{Plane, words_of};
use super::exchange::{deal_bits, swap_bits};
use super::held::{Held, mask};
use key::{Test, evaluate, generate, levels};

mod key;

/// The bit \[x < 0\] for |x| < 2^k, k <= 63, from this party's side of x = c + s.
pub(crate) async fn negative(strand: &Strand<'_>, side: &[R64], k: u32) -> Result<Held<Plane>> {
    let dealer = strand.role() == Role::Dealer;
    let of = |w: &R64| if dealer { *w } else { !*w } & mask(k);
    let own: Vec<u64> = side.iter().map(|w| of(w).0).collect();
    let share = compared(strand, &own, k, Test::Below).await?;
    let top = || plane(side.iter().map(|w| w.0 >> k & 1), side.len());
    let halves = deal_bits(strand, 1, top).await?;
    let u = halves.into_half().zip(share).map(|(mut u, share)| {
        super::bits::xor_into(&mut u, &share);
        if strand.role() == Role::A {
            super::bits::xor_into(&mut u, &top());
        }
        u
    });
    swap_bits(strand, 1, u).await
}

/// The bit \[x = 0\] for every word, from this party's side of x = c + s.
pub(crate) async fn zero(strand: &Strand<'_>, side: &[R64]) -> Result<Held<Plane>> {
    let dealer = strand.role() == Role::Dealer;
    let own = side.iter().map(|&w| if dealer { -w } else { w }.0);
    let share = compared(strand, &own.collect::<Vec<_>>(), 64, Test::Equal).await?;
    swap_bits(strand, 1, share).await
}

/// Blocks that D hashes for the keys of a value; A and B hash [`words_sent`] each.
pub(super) fn blocks_hashed(bits: u32) -> usize {
    4 * levels(bits) as usize + 2
}

/// Words of 128 bits that D sends to each of A and B a value.
pub(super) fn words_sent(bits: u32) -> usize {
    levels(bits) as usize + 1
}

/// Shares at A and B of the test of D's words against theirs, all of so many bits; `None` at D. 2·128 bits for each of
/// [`words_sent`], 1 round (D's).
async fn compared(
    strand: &Strand<'_>,
    own: &[u64],
    bits: u32,
    test: Test,
) -> Result<Option<Plane>> {
    let n = own.len();
    let label = strand.next_gate()?;
    let (dealer, a, b) = (
        strand.party(Role::Dealer),
        strand.party(Role::A),
        strand.party(Role::B),
    );
    let hash = strand.hash(label);
    // A's root is of the key that B lacks, B's of the one that A lacks (R16).
    let roots = |key: usize| -> Result<Vec<u128>> {
        let words = strand.draw(key, label, Purpose::Root, 2 * n)?;
        let block = |w: &[R64; 2]| u128::from(w[1].0) << 64 | u128::from(w[0].0);
        Ok(words.as_chunks().0.iter().map(block).collect())
    };
    let (key, roots) = match strand.role() {
        Role::Dealer => {
            let roots = [roots(a)?, roots(dealer)?];
            let words = generate(&hash, roots, own, bits, test);
            for to in [b, a] {
                strand.send(to, label, 16 * words.len(), |out| {
                    words.iter().for_each(|w| out.put_u128_le(*w));
                })?;
            }
            return Ok(None);
        }
        Role::A => (0, roots(a)?),
        Role::B => (1, roots(dealer)?),
    };
    let len = 16 * words_sent(bits) * n;
    let words = strand.recv(dealer, label, len).await?;
    let words = words.as_chunks().0;
    let shares = evaluate(&hash, (key, roots), own, bits, test, words);
    Ok(Some(plane(shares.into_iter(), n)))
}

/// Bits as a plane.
fn plane(bits: impl Iterator<Item = u64>, n: usize) -> Plane {
    let mut plane = vec![0; words_of(n)];
    for (i, bit) in bits.enumerate() {
        plane[i / 64] |= bit << (i % 64);
    }
    plane
}
