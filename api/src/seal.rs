//! Shares that only the recipient can read.
//!
//! Each computing party seals its additive share of a result to the recipient's X25519 key with HPKE (RFC 9180, base
//! mode, X25519-HKDF-SHA256, ChaCha20-Poly1305) and signs the ciphertext. The `info` of HPKE binds job, attempt, party
//! and label, so that nobody who stores or forwards a sealed share can present it as another one.

use ed25519_dalek::Signature;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

use crate::identity::{Identity, IdentityError};
use crate::member::Member;
use crate::proto::SealedShare;
use crate::roster::{Roster, RosterError};
use crate::transcript::transcript;

/// The label of a share of the trained model and its metrics.
pub const RESULT: &str = "result";

/// The length of HPKE's encapsulated key, with which a ciphertext begins.
const ENCAPSULATED_BYTES: usize = 32;

/// The label of a share of one epoch's mean training loss.
pub fn loss_label(epoch: u32) -> String {
    format!("loss:{epoch}")
}

/// Why a share cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The party is not in the roster.
    #[error(transparent)]
    Party(#[from] RosterError),
    /// Our own identity is not in the roster.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The recipient's key cannot be used.
    #[error("the sealing key of {recipient} is not a valid X25519 key")]
    Recipient {
        /// The recipient's name.
        recipient: String,
    },
    /// The signature is not that of the party.
    #[error("the share {label:?} of {party} does not carry a signature of {party} for this job")]
    Signature {
        /// The party that the share names.
        party: String,
        /// The share's label.
        label: String,
    },
    /// The share was sealed to another key or for another purpose, or was damaged.
    #[error(
        "the share {label:?} of {party} does not open with this key: is this the recipient's identity?"
    )]
    Open {
        /// The party that sealed it.
        party: String,
        /// The share's label.
        label: String,
    },
    /// The shares at hand do not make up one value.
    #[error("the shares {label:?} do not fit together: {problem}")]
    Mismatch {
        /// The label that was looked for.
        label: String,
        /// What is missing or differs.
        problem: String,
    },
}

/// Seals `words`, this party's additive share, to `recipient` and signs it.
pub fn seal(
    identity: &Identity,
    roster: &Roster,
    recipient: &Member,
    job_id: &str,
    attempt: u32,
    label: &str,
    words: &[u64],
) -> Result<SealedShare, SealError> {
    let mut share = SealedShare {
        party: identity.certificate(roster)?.name().to_owned(),
        attempt,
        label: label.to_owned(),
        ciphertext: Vec::new(),
        signature: Vec::new(),
    };
    let refused = || SealError::Recipient {
        recipient: recipient.name().to_owned(),
    };
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient.sealing_key())
        .map_err(|_| refused())?;
    let plain = Zeroizing::new(
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>(),
    );
    let (encapsulated, sealed) =
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            &info(job_id, &share),
            &plain,
            &[],
        )
        .map_err(|_| refused())?;
    share.ciphertext = [encapsulated.to_bytes().as_slice(), &sealed].concat();
    share.signature = identity.sign(&signed(job_id, &share));
    Ok(share)
}

/// Checks that `share` was sealed for the job by the party that it names. Needs no private key, opens nothing.
pub fn verify(roster: &Roster, job_id: &str, share: &SealedShare) -> Result<(), SealError> {
    let party = roster.member(&share.party)?;
    Signature::from_slice(&share.signature)
        .and_then(|signature| {
            let key = party.certificate().key();
            key.verify_strict(&signed(job_id, share), &signature)
        })
        .map_err(|_| SealError::Signature {
            party: share.party.clone(),
            label: share.label.clone(),
        })
}

/// Verifies and opens one share.
pub fn open(
    identity: &Identity,
    roster: &Roster,
    job_id: &str,
    share: &SealedShare,
) -> Result<Zeroizing<Vec<u64>>, SealError> {
    verify(roster, job_id, share)?;
    open_verified(identity, job_id, share).ok_or_else(|| SealError::Open {
        party: share.party.clone(),
        label: share.label.clone(),
    })
}

fn open_verified(
    identity: &Identity,
    job_id: &str,
    share: &SealedShare,
) -> Option<Zeroizing<Vec<u64>>> {
    type Hpke = X25519HkdfSha256;
    let (encapsulated, sealed) = share.ciphertext.split_at_checked(ENCAPSULATED_BYTES)?;
    let secret = Zeroizing::new(identity.sealing_secret().to_bytes());
    let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Hpke>(
        &OpModeR::Base,
        &<Hpke as Kem>::PrivateKey::from_bytes(secret.as_slice()).ok()?,
        &<Hpke as Kem>::EncappedKey::from_bytes(encapsulated).ok()?,
        &info(job_id, share),
        sealed,
        &[],
    )
    .ok()?;
    let plain = Zeroizing::new(plain);
    let (words, rest) = plain.as_chunks::<8>();
    rest.is_empty()
        .then(|| Zeroizing::new(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
}

/// Opens the shares called `label` of the three computing parties, in the order of `compute`. What they make up depends on the
/// protocol of the job.
///
/// Takes exactly one share of each party in `compute`, all of one attempt and length: a missing, doubled or foreign one
/// would make what they give meaningless. Shares with other labels are skipped.
pub fn parts(
    identity: &Identity,
    roster: &Roster,
    job_id: &str,
    compute: &[String; 3],
    label: &str,
    shares: &[SealedShare],
) -> Result<[Zeroizing<Vec<u64>>; 3], SealError> {
    let mismatch = |problem: String| SealError::Mismatch {
        label: label.to_owned(),
        problem,
    };
    let mut parts: [Option<Zeroizing<Vec<u64>>>; 3] = Default::default();
    let mut first: Option<(u32, usize)> = None;
    for share in shares.iter().filter(|share| share.label == label) {
        let party = &share.party;
        let place = compute.iter().position(|name| name == party);
        let empty = place.and_then(|place| parts.get_mut(place));
        let Some(empty) = empty.filter(|part| part.is_none()) else {
            return Err(mismatch(format!(
                "{party} does not compute in this job, or sent two shares"
            )));
        };
        let words = open(identity, roster, job_id, share)?;
        if *first.get_or_insert((share.attempt, words.len())) != (share.attempt, words.len()) {
            return Err(mismatch(format!(
                "that of {party} is of another attempt or length"
            )));
        }
        *empty = Some(words);
    }
    let mut missing: Vec<&str> = compute
        .iter()
        .zip(&parts)
        .filter(|(_, part)| part.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    missing.sort_unstable();
    match parts {
        [Some(zero), Some(one), Some(two)] => Ok([zero, one, two]),
        _ => Err(mismatch(format!(
            "nothing came from {}",
            missing.join(" and ")
        ))),
    }
}

/// Adds up [`parts`], modulo 2^64: the result where nobody cheats, by a protocol that gives nothing besides the shares.
pub fn reveal(
    identity: &Identity,
    roster: &Roster,
    job_id: &str,
    compute: &[String; 3],
    label: &str,
    shares: &[SealedShare],
) -> Result<Vec<u64>, SealError> {
    let [zero, one, two] = parts(identity, roster, job_id, compute, label, shares)?;
    let sum = zero.iter().zip(one.iter()).zip(two.iter());
    let sum = sum.map(|((x, y), z)| x.wrapping_add(*y).wrapping_add(*z));
    Ok(sum.collect())
}

fn info(job_id: &str, share: &SealedShare) -> Vec<u8> {
    let attempt = share.attempt.to_le_bytes();
    transcript(
        "tacit v1 share",
        &[
            job_id.as_bytes(),
            &attempt,
            share.party.as_bytes(),
            share.label.as_bytes(),
        ],
    )
}

fn signed(job_id: &str, share: &SealedShare) -> Vec<u8> {
    transcript(
        "tacit v1 sealed share",
        &[&info(job_id, share), &share.ciphertext],
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::consortium::fixture::members;

    const JOB: &str = "00112233445566778899aabbccddeeff";

    fn compute() -> [String; 3] {
        ["north", "west", "south"].map(str::to_owned)
    }

    /// The three parties' shares of `1, -1` with some noise, for analyst.
    fn shares(roster: &Roster, identities: &[Identity]) -> Vec<SealedShare> {
        let words = [[5, 7], [u64::MAX, 1 << 63], [u64::MAX - 2, (1 << 63) - 8]];
        let analyst = roster.member("analyst").unwrap();
        (identities.iter().zip(words))
            .map(|(party, words)| seal(party, roster, analyst, JOB, 1, RESULT, &words).unwrap())
            .collect()
    }

    #[test]
    fn three_shares_reveal_their_sum_to_the_recipient_alone() {
        let (roster, ids) = members();
        let shares = shares(&roster, &ids);
        let sum = reveal(&ids[3], &roster, JOB, &compute(), RESULT, &shares).unwrap();
        assert_eq!(sum, [1, u64::MAX]);
        for outsider in &ids[..3] {
            let error = open(outsider, &roster, JOB, &shares[0]).unwrap_err();
            assert!(matches!(error, SealError::Open { .. }), "{error}");
        }
    }

    #[test]
    fn a_share_cannot_be_passed_off_as_another() {
        let (roster, ids) = members();
        let share = &shares(&roster, &ids)[0];
        let mut forgeries = vec![share.clone(); 5];
        forgeries[0].attempt = 2;
        forgeries[1].label = loss_label(1);
        forgeries[2].party = "west".into();
        forgeries[3].ciphertext[40] ^= 1;
        forgeries[4].signature[0] ^= 1;
        for forgery in forgeries {
            let error = open(&ids[3], &roster, JOB, &forgery).unwrap_err();
            assert!(matches!(error, SealError::Signature { .. }), "{error}");
        }
        assert!(verify(&roster, "another job", share).is_err());
        // A party that signs another's ciphertext as its own gets no further: the seal names the party as well.
        let mut copied = share.clone();
        copied.party = "west".into();
        copied.signature = ids[1].sign(&signed(JOB, &copied));
        verify(&roster, JOB, &copied).unwrap();
        let error = open(&ids[3], &roster, JOB, &copied).unwrap_err();
        assert!(matches!(error, SealError::Open { .. }), "{error}");
    }

    #[test]
    fn an_incomplete_or_doubled_set_of_shares_reveals_nothing() {
        let (roster, ids) = members();
        let all = shares(&roster, &ids);
        let error = |shares: &[SealedShare]| {
            let sum = reveal(&ids[3], &roster, JOB, &compute(), RESULT, shares);
            sum.unwrap_err().to_string()
        };
        assert!(error(&all[..1]).contains("nothing came from south and west"));
        assert!(error(&[]).contains("nothing came from"));
        assert!(error(&[all.clone(), all[..1].to_vec()].concat()).contains("two shares"));
        let analyst = roster.member("analyst").unwrap();
        let resealed = |attempt, words: &[u64]| {
            let last = seal(&ids[2], &roster, analyst, JOB, attempt, RESULT, words).unwrap();
            error(&[all[0].clone(), all[1].clone(), last])
        };
        assert!(resealed(2, &[0, 0]).contains("another attempt or length"));
        assert!(resealed(1, &[0]).contains("another attempt or length"));
    }

    /// RFC 9180, appendix A.2.1.1, the first message.
    #[test]
    fn the_suite_is_that_of_the_rfc() {
        let bytes = |digits| hex::decode(digits).unwrap();
        let secret = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let encapsulated =
            bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let sealed = bytes(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        );
        let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&secret).unwrap(),
            &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&encapsulated).unwrap(),
            b"Ode on a Grecian Urn",
            &sealed,
            b"Count-0",
        );
        assert_eq!(plain.unwrap(), b"Beauty is truth, truth beauty");
    }

    proptest! {
        #[test]
        fn no_ciphertext_makes_opening_panic(ciphertext in proptest::collection::vec(any::<u8>(), 0..99)) {
            thread_local!(static MEMBERS: (Roster, Vec<Identity>) = members());
            MEMBERS.with(|(roster, ids)| {
                let mut share = SealedShare {
                    party: "north".into(), attempt: 1, label: RESULT.into(), ciphertext, signature: vec![],
                };
                share.signature = ids[0].sign(&signed(JOB, &share));
                prop_assert!(open(&ids[3], roster, JOB, &share).is_err());
                Ok(())
            })?;
        }
    }
}
