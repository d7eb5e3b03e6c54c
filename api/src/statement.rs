//! What a party says once in a session, signed, so that it can be held to it.

use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::identity::{Identity, IdentityError};
use crate::roster::{Roster, RosterError};
use crate::transcript::transcript;

/// The longest body of a statement in bytes: statements are hashes and coins.
pub const MAX_BODY: usize = 256;

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// What a statement is about. An honest party makes one statement about each in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The [`commitment`] to a part of a coin.
    Commitment,
    /// The part of the coin that it was a commitment to.
    Opening,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Commitment => "commitment",
            Self::Opening => "opening",
        }
    }
}

/// Why a statement is not believed.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Who is said to have made it is not in the roster.
    #[error(transparent)]
    Party(#[from] RosterError),
    /// It is no statement, or somebody else's.
    #[error("this is not signed by {party} as its {step} of this session", step = step.name())]
    Signature {
        /// Who is said to have made it.
        party: String,
        /// What it is said to be.
        step: Step,
    },
}

/// A signed statement of one party in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Who made it.
    party: String,
    /// The session.
    #[serde(with = "hex::serde")]
    session: [u8; 32],
    /// What it is about.
    step: Step,
    /// What was said.
    #[serde(with = "hex::serde")]
    body: Vec<u8>,
    /// Ed25519, with the key of the party's certificate.
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

impl Statement {
    /// Says `body`, at most [`MAX_BODY`] bytes. Never twice for one step of one session.
    ///
    /// # Errors
    /// The identity is not in the roster.
    pub fn sign(
        identity: &Identity,
        roster: &Roster,
        session: [u8; 32],
        step: Step,
        body: &[u8],
    ) -> Result<Self, IdentityError> {
        let mut statement = Self {
            party: identity.certificate(roster)?.name().to_owned(),
            session,
            step,
            body: body.to_vec(),
            signature: Vec::new(),
        };
        statement.signature = identity.sign(&statement.message());
        Ok(statement)
    }

    /// The statement of `party` that came as these bytes, checked.
    ///
    /// # Errors
    /// [`Self::verify`] fails, or the bytes are too few or too many.
    pub fn receive(
        roster: &Roster,
        party: &str,
        session: [u8; 32],
        step: Step,
        bytes: &[u8],
    ) -> Result<Self, StatementError> {
        let refused = || StatementError::Signature {
            party: party.to_owned(),
            step,
        };
        let (signature, body) = bytes
            .split_at_checked(SIGNATURE_BYTES)
            .ok_or_else(refused)?;
        let statement = Self {
            party: party.to_owned(),
            session,
            step,
            body: body.to_vec(),
            signature: signature.to_vec(),
        };
        statement.verify(roster)?;
        Ok(statement)
    }

    /// The bytes that [`Self::receive`] takes; who receives them knows party, session and step.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.signature[..], &self.body].concat()
    }

    /// Checks that its party made it, whether or not its certificate is still valid: what was said stays said.
    ///
    /// # Errors
    /// The party is unknown, or the signature is not the party's.
    pub fn verify(&self, roster: &Roster) -> Result<(), StatementError> {
        let certificate = roster.member(&self.party)?.certificate();
        let refused = || StatementError::Signature {
            party: self.party.clone(),
            step: self.step,
        };
        let signature = Signature::from_slice(&self.signature).map_err(|_| refused())?;
        if self.body.len() > MAX_BODY {
            return Err(refused());
        }
        let key = certificate.key();
        (key.verify_strict(&self.message(), &signature)).map_err(|_| refused())
    }

    /// Who made it.
    pub fn party(&self) -> &str {
        &self.party
    }

    /// The session it was made in.
    pub fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// What it is about.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What was said.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn message(&self) -> Vec<u8> {
        let step = self.step.name().as_bytes();
        transcript(
            "tacit v1 statement",
            &[self.party.as_bytes(), &self.session, step, &self.body],
        )
    }
}

/// c = SHA-256(label ‖ session ‖ party ‖ r): hides and binds r, 32 uniform bytes, with SHA-256 as a random oracle (Blum, "Coin
/// flipping by telephone", CRYPTO 1981). It names session and party, so that nobody can repeat somebody else's.
pub fn commitment(session: &[u8; 32], party: &str, opening: &[u8]) -> [u8; 32] {
    Sha256::digest(transcript(
        "tacit v1 commitment",
        &[session, party.as_bytes(), opening],
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consortium::fixture::members;

    #[test]
    fn a_statement_is_of_one_party_session_and_step() {
        let (roster, identities) = members();
        let said = Statement::sign(&identities[1], &roster, [1; 32], Step::Opening, b"r").unwrap();
        let bytes = said.to_bytes();
        let heard = |party: &str, session, step, bytes: &[u8]| {
            Statement::receive(&roster, party, session, step, bytes)
        };
        assert_eq!(heard("west", [1; 32], Step::Opening, &bytes).unwrap(), said);
        for other in [
            heard("north", [1; 32], Step::Opening, &bytes),
            heard("west", [2; 32], Step::Opening, &bytes),
            heard("west", [1; 32], Step::Commitment, &bytes),
            heard("west", [1; 32], Step::Opening, &bytes[..bytes.len() - 1]),
            heard("west", [1; 32], Step::Opening, &bytes[..63]),
            heard("east", [1; 32], Step::Opening, &bytes),
        ] {
            other.unwrap_err();
        }
        let long = [0; MAX_BODY + 1];
        let long = Statement::sign(&identities[1], &roster, [1; 32], Step::Opening, &long).unwrap();
        heard("west", [1; 32], Step::Opening, &long.to_bytes()).unwrap_err();
    }

    #[test]
    fn a_commitment_belongs_to_one_party_of_one_session() {
        let one = commitment(&[1; 32], "north", &[5; 32]);
        assert_ne!(one, commitment(&[1; 32], "west", &[5; 32]));
        assert_ne!(one, commitment(&[2; 32], "north", &[5; 32]));
        assert_ne!(one, commitment(&[1; 32], "north", &[6; 32]));
    }
}
