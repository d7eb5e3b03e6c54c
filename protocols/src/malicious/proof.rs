//! The proof: all relations of a log at once, for the three provers together.
//!
//! **Adversary**: at most one malicious party of three. **Claim**: if some relation of P_i's data does not hold, an honest
//! verifier accepts with probability at most
//!     3·2^-σ + 3/2^54.5 + 1/p + Σ_levels (2k-2)/(p-k) + 2k/(p-2k-1)  <=  2^-46.3   (σ = 48, p > 2^60),
//! the terms being: binary combinations of matrices from both sides and of relations; a prime that divides a wrong statement;
//! the combination θ; the levels of the fold. AND gates: (7 + 2·6 + Σ (2k-2) + 2k)/2^64 < 2^-54, where two
//! levels are cubes (`cubes.rs`). A session has one cheater and ends with its first failed proof, so the bound is for a session;
//! silence after the first coin counts as a failure.
//!
//! **What a verifier learns**: before the last level only what draws of the two other parties mask; at the last level u(r) or
//! v(r), masked by the node of its own, and the share of q(r) that follows from them. Tests measure both.
//!
//! The recursive fold is Boneh et al. (CRYPTO 2019) and Boyle et al. (CCS 2019). The cubes before it are a sum-check on the same
//! shares, **new in this place**. The way from Z_2^64 to a field is **new, not
//! peer reviewed** (protocols-malicious, sections 3 to 5 and 12): combinations with binary coefficients are formed over the
//! integers; their quotients by 2^64 are committed to as bits; then a random prime is drawn, and everything is proved modulo it.
//! The order of these steps is kept by types: a [`challenge::Coin`] is tossed after a witness of what must be fixed before, and
//! a prime is made from the coin that came after the quotients.
//!
//! Bytes a party: 48 for a coin, of which there are 2 + levels; 16σ for quotients; 8·(2k-2) a level and field, 8·26 for a cube,
//! 8·2k for the last, 32 a field for the end. Rounds: 3 + 2·levels + 1.

mod binary;
mod bit_kernels;
#[cfg(target_arch = "x86_64")]
mod bit_vectors;
mod bits;
mod challenge;
#[cfg(target_arch = "x86_64")]
mod combination_vectors;
mod combinations;
mod cubes;
mod dot_rows;
#[cfg(target_arch = "x86_64")]
mod dot_vectors;
mod dots;
mod field;
mod fold;
mod kernels;
mod lagrange;
mod pages;
mod parts;
mod prime;
mod prime_batches;
#[cfg(target_arch = "x86_64")]
mod prime_products;
mod prime_sum;
#[cfg(target_arch = "x86_64")]
mod prime_vectors;
mod quotients;
mod size;
mod strength;
#[cfg(target_arch = "x86_64")]
mod vectors;
mod words;

#[cfg(test)]
mod guess;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shortcuts;
#[cfg(test)]
mod soundness;
#[cfg(test)]
mod tests;

use tacit_mpc::{Error, Purpose, R64, Result, Session, Strand};

pub(super) use dots::RELATIONS;
pub(super) use size::Lengths;

use super::circuit::Circuit;
use super::log::{Entry, Log};
use challenge::{Fixed, toss};
use field::Field;
use fold::{Last, Level, Nodes};
use prime::Prime;

/// A log that is closed: every message that it is about was sent, received, and had the right length.
pub(super) struct Relations(Vec<Entry>);

/// Entries that are to be proved in rehearsal.
pub(super) fn closed(entries: Vec<Entry>) -> Relations {
    Relations(entries)
}

/// A proof in rehearsal, which convinces nobody of anything: the keys are known.
pub(super) async fn rehearse(c: &Circuit<'_>, relations: &Relations) -> Result<()> {
    prove(c, relations).await
}

impl Fixed for Relations {}

/// The polynomials of a level: sent, and received.
struct Polynomials {
    /// This party's shares of those of P_{me+1}.
    left: Vec<u64>,
    /// Its shares of those of P_{me-1}, which are draws.
    right: Vec<u64>,
}

impl Fixed for Polynomials {}

impl Polynomials {
    /// One proof's part, from `at` on.
    fn of(&self, level: &Level, at: &mut usize) -> [&[u64]; 2] {
        let range = *at..*at + level.values.len();
        *at = range.end;
        [&self.left[range.clone()], &self.right[range]]
    }
}

/// Proves everything logged and checks the proofs of the others. Nothing that was computed may be given out before.
///
/// # Errors
/// [`Error::CheckFailed`] where a proof does not hold, or where a link or peer failed: a challenge was known by then.
pub(super) fn verify(s: &Session, log: &Log) -> Result<()> {
    log.alive()?;
    let Some(span) = log.span() else {
        return Ok(());
    };
    let relations = Relations(log.take());
    log.attempt(s, &format!("the proof of the gates of {span}"), || {
        let empty = Log::default();
        s.in_check(|| {
            s.fan_out(1, async |strand: Strand<'_>| {
                let circuit = Circuit {
                    strand,
                    log: &empty,
                };
                prove(&circuit, &relations).await
            })
        })?;
        Ok(())
    })
}

/// What all parties must agree on before they prove anything to each other: strength, and schedule of the folds.
pub(super) fn parameters() -> [u64; 2] {
    let strength = u64::from(strength::combinations().count_ones()) << 32;
    [
        strength | u64::from(strength::prime_bits()),
        fold::SCHEDULE << 16 | (words::FIRST << 8 | bits::FIRST) as u64,
    ]
}

async fn prove(c: &Circuit<'_>, relations: &Relations) -> Result<()> {
    let combinations = toss(c, relations).await?;
    let kernels = c.strand.session().kernels();
    let parts = parts::parts(&relations.0, &combinations, kernels)?;
    let quotients = quotients::exchange(c, &combinations, &parts).await?;
    let coin = toss(c, &quotients).await?;
    let mut bits = bits::proof(&relations.0, &coin);
    let prime = Prime::random(&coin);
    let mut words = (!parts.is_empty())
        .then(|| words::claim(prime, c.me(), parts, quotients, &combinations, &coin));
    let mut ends = Vec::new();
    for number in 0.. {
        let label = c.strand.next_gate()?;
        let nodes = nodes(c, label)?;
        let word_level = words.as_ref().and_then(|f| f.level(&nodes[0]));
        #[cfg(test)]
        let word_level = word_level.map(|level| guess::bent(prime, level));
        let bit_level = bits.as_ref().and_then(|f| f.level(&nodes[1]));
        if word_level.is_none() && bit_level.is_none() {
            break;
        }
        let levels = [
            word_level.as_ref().map(|l| (Wire::Words(prime), l)),
            bit_level.as_ref().map(|l| (Wire::Bits, l)),
        ];
        let polynomials = exchange(c, label, &levels).await?;
        let coin = toss(c, &polynomials).await?;
        let mut at = 0;
        let words_of = |attempt: usize| coin.words("fold", attempt << 16 | number, 4);
        if let (Some(fold), Some(level)) = (&mut words, &word_level) {
            let r = level.challenge(prime, |attempt| {
                let words = words_of(attempt);
                [words[0], words[1]]
            });
            #[cfg(test)]
            guess::learn(r);
            let [left, right] = polynomials.of(level, &mut at);
            let end = fold.absorb(level, left, right, r, &nodes[0]);
            ends.extend(end.map(|last| (Wire::Words(prime), last)));
        }
        if let (Some(proof), Some(level)) = (&mut bits, &bit_level) {
            let shares = polynomials.of(level, &mut at);
            let end = proof.absorb(level, shares, words_of, &nodes[1]);
            ends.extend(end.map(|last| (Wire::Bits, last)));
        }
    }
    compare(c, &ends).await
}

/// The field of a message.
#[derive(Clone, Copy)]
enum Wire {
    Words(Prime),
    Bits,
}

impl Wire {
    fn uniform(self, bits: [u64; 2]) -> u64 {
        match self {
            Self::Words(f) => f.uniform(bits),
            Self::Bits => binary::Binary.uniform(bits),
        }
    }

    fn sub(self, x: u64, y: u64) -> u64 {
        match self {
            Self::Words(f) => f.sub(x, y),
            Self::Bits => x ^ y,
        }
    }

    fn decode(self, word: u64) -> Option<u64> {
        match self {
            Self::Words(f) => f.decode(word),
            Self::Bits => Some(word),
        }
    }

    /// Whether u·v = q + q'.
    fn holds(self, u: u64, v: u64, q: [u64; 2]) -> bool {
        match self {
            Self::Words(f) => f.mul(u, v) == f.add(q[0], q[1]),
            Self::Bits => binary::Binary.mul(u, v) == q[0] ^ q[1],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Words(_) => "products",
            Self::Bits => "AND gates",
        }
    }
}

/// The masking points of both proofs, should this be their last level.
fn nodes(c: &Circuit<'_>, label: tacit_mpc::Label) -> Result<[Nodes; 2]> {
    let me = c.me();
    let draw = |j, purpose| -> Result<[[u64; 2]; 2]> {
        #[cfg(test)]
        if strength::weakness().bare_last_level {
            return Ok([[0; 2]; 2]);
        }
        let words = c.strand.draw(j, label, purpose, 4)?;
        Ok([[words[0].0, words[1].0], [words[2].0, words[3].0]])
    };
    let left = [
        draw(me, Purpose::LeftNode)?,
        draw(me + 1, Purpose::LeftNode)?,
    ];
    let right = [
        draw(me + 1, Purpose::RightNode)?,
        draw(me, Purpose::RightNode)?,
    ];
    Ok([0, 1].map(|field| Nodes {
        u: left.map(|side| side[field]),
        v: right.map(|side| side[field]),
    }))
}

/// Sends this party's polynomials to its left verifier, masked by the shares of the right one, and receives those of P_{me+1}.
async fn exchange(
    c: &Circuit<'_>,
    label: tacit_mpc::Label,
    levels: &[Option<(Wire, &Level)>; 2],
) -> Result<Polynomials> {
    let me = c.me();
    let wires: Vec<Wire> = levels
        .iter()
        .flatten()
        .flat_map(|(wire, level)| std::iter::repeat_n(*wire, level.values.len()))
        .collect();
    let shares = |j| -> Result<Vec<u64>> {
        let words = c
            .strand
            .draw(j, label, Purpose::Polynomial, 2 * wires.len())?;
        let pairs = words.as_chunks::<2>().0.iter();
        Ok(wires
            .iter()
            .zip(pairs)
            .map(|(wire, [x, y])| wire.uniform([x.0, y.0]))
            .collect())
    };
    let masks = shares(me + 1)?;
    let values = levels.iter().flatten().flat_map(|(_, level)| &level.values);
    let masked: Vec<R64> = values
        .zip(wires.iter().zip(&masks))
        .map(|(&q, (wire, &mask))| std::num::Wrapping(wire.sub(q, mask)))
        .collect();
    c.send_words(me + 2, label, &masked)?;
    let received = c.recv_words(me + 1, label, wires.len()).await?;
    let left = wires
        .iter()
        .zip(&received)
        .map(|(wire, w)| wire.decode(w.0));
    let left = left
        .collect::<Option<_>>()
        .ok_or_else(|| not_reduced((me + 1) % 3))?;
    Ok(Polynomials {
        left,
        right: shares(me)?,
    })
}

fn not_reduced(peer: usize) -> Error {
    Error::PeerMisbehaved {
        peer,
        what: "it sent a number of a proof that is not reduced".into(),
    }
}

/// The verifiers of each proof exchange what they have and both check. Nothing else is sent before.
async fn compare(c: &Circuit<'_>, ends: &[(Wire, Last)]) -> Result<()> {
    let label = c.strand.next_gate()?;
    let (prev, next) = ((c.me() + 2) % 3, (c.me() + 1) % 3);
    let pairs = |of: fn(&Last) -> (u64, u64)| -> Vec<R64> {
        ends.iter()
            .flat_map(|(_, last)| <[u64; 2]>::from(of(last)))
            .map(std::num::Wrapping)
            .collect()
    };
    // I am the left verifier of P_next, whose right one is P_prev, and the right one of P_prev, whose left one is P_next.
    c.send_words(prev, label, &pairs(|l| l.left))?;
    c.send_words(next, label, &pairs(|l| l.right))?;
    let of_next = c.recv_words(prev, label, 2 * ends.len()).await?;
    let of_prev = c.recv_words(next, label, 2 * ends.len()).await?;
    for (k, (wire, last)) in ends.iter().enumerate() {
        let decode = |words: &[R64], peer| {
            let pair = wire
                .decode(words[2 * k].0)
                .zip(wire.decode(words[2 * k + 1].0));
            pair.ok_or_else(|| not_reduced(peer))
        };
        let (v, q) = decode(&of_next, prev)?;
        let fails = |prover: usize, other: usize| Error::CheckFailed {
            broken_off: false,
            what: format!("the proof of party {prover} about its {}", wire.name()),
            suspects: vec![prover, other],
        };
        if !wire.holds(last.left.0, v, [last.left.1, q]) {
            return Err(fails(next, prev));
        }
        let (u, q) = decode(&of_prev, next)?;
        if !wire.holds(u, last.right.0, [q, last.right.1]) {
            return Err(fails(prev, next));
        }
    }
    Ok(())
}
