//! How strong a proof is: fixed in every build, and shrunken or broken on purpose in tests, to see attacks succeed as often as the
//! analysis says.

/// Combinations: a relation that does not hold survives each with probability 1/2.
pub(super) const SIGMA: usize = 48;

/// Bits of the prime.
pub(super) const PRIME_BITS: u32 = 61;

pub(super) use chosen::*;

#[cfg(not(test))]
mod chosen {
    /// The bits of a combination word that count.
    pub(in super::super) const fn combinations() -> u64 {
        (1 << super::SIGMA) - 1
    }

    /// Bits of the prime.
    pub(in super::super) const fn prime_bits() -> u32 {
        super::PRIME_BITS
    }

    /// Whether coins are released by the wrong party.
    pub(in super::super) const fn early_coin() -> bool {
        false
    }
}

/// For tests: this thread's party runs with other parameters, with one of the mistakes that the construction avoids, or cheats.
#[cfg(test)]
mod chosen {
    use std::cell::Cell;

    use super::SIGMA;

    /// What is weakened, at all parties.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct Weakness {
        pub(in super::super) sigma: u32,
        pub(in super::super) prime_bits: u32,
        /// The prime is this one, whatever the quotients are.
        pub(in super::super) known_prime: Option<u64>,
        /// P_{i+1}, who does not receive the messages of P_i, gives it the part of the coin that it lacks.
        pub(in super::super) early_coin: bool,
        /// The last level has no masking point.
        pub(in super::super) bare_last_level: bool,
    }

    impl Default for Weakness {
        fn default() -> Self {
            Self {
                sigma: SIGMA as u32,
                prime_bits: super::PRIME_BITS,
                known_prime: None,
                early_coin: false,
                bare_last_level: false,
            }
        }
    }

    /// What a cheating prover makes of its quotients and the remainders beside them.
    pub(in super::super) type Quotients = fn([u128; SIGMA], [u128; SIGMA]) -> [u128; SIGMA];

    thread_local! {
        pub(in super::super) static WEAKNESS: Cell<Weakness> = Cell::default();
        /// Set at the cheater alone.
        pub(in super::super) static QUOTIENTS: Cell<Option<Quotients>> = const { Cell::new(None) };
    }

    pub(in super::super) fn weakness() -> Weakness {
        WEAKNESS.get()
    }

    pub(in super::super) fn combinations() -> u64 {
        (1 << weakness().sigma) - 1
    }

    pub(in super::super) fn prime_bits() -> u32 {
        weakness().prime_bits
    }

    pub(in super::super) fn early_coin() -> bool {
        weakness().early_coin
    }
}
