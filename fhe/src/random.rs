//! Randomness: seeds from the operating system, stretched by tfhe's AES-128 in counter mode.

use tfhe::core_crypto::commons::math::random::{Seed, Seeder};

use crate::Error;

/// Seeds from the operating system.
pub(crate) struct OsSeeder(());

impl OsSeeder {
    /// # Errors
    /// If the operating system gives no randomness.
    pub(crate) fn new() -> Result<Self, Error> {
        draw().map(|_| Self(()))
    }
}

fn draw() -> Result<u128, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::Randomness(e.to_string()))?;
    Ok(u128::from_le_bytes(bytes))
}

impl Seeder for OsSeeder {
    /// # Panics
    /// If the operating system, which gave randomness when this was made, no longer does.
    fn seed(&mut self) -> Seed {
        // tfhe's trait has no room for an error, and without randomness nothing secret may be made.
        Seed(draw().unwrap_or_else(|error| panic!("{error}")))
    }

    fn is_available() -> bool {
        draw().is_ok()
    }
}
