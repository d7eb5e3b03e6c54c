//! Parameter sets: a small catalogue, each at least 128-bit secure by construction.
//!
//! A set fixes the dimensions and the noise of two keys: a small LWE key of n bits, over integers modulo 2^32, under
//! which values are rotated, and a GLWE key of k polynomials of N bits, over integers modulo 2^64, under which they
//! travel and come out. Security rests on (n, noise) and (k·N, noise) alone; the gadgets (how many digits of which
//! base) decide about speed and about noise that is added.
//!
//! Noise is TUniform(2^b): uniform on -2^b ..= 2^b with the ends half as likely. Every b here is at least what tfhe's
//! public formulas ask for 132-bit security
//! (`tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform`, fitted
//! by Zama to the lattice estimator of Albrecht, Player and Scott, "On the concrete hardness of Learning with Errors",
//! J. Math. Cryptology 2015); a test holds every set to them. Since noise and modulus count by their ratio only, the
//! keyswitching key's modulus 2^32 changes nothing there.

/// Digits of a number: `levels` of them, of `base_log` bits each, the leading ones of a torus element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gadget {
    /// log2 of the base.
    pub base_log: u32,
    /// How many digits.
    pub levels: u32,
}

/// A parameter set. There are those of the [catalogue](Params::catalogue) and no others.
#[derive(Debug, PartialEq, Eq)]
pub struct Params {
    name: &'static str,
    lwe_dimension: usize,
    lwe_noise: u32,
    glwe_dimension: usize,
    polynomial_size: usize,
    glwe_noise: u32,
    keyswitch: Gadget,
    bootstrap: Gadget,
    key_bits: u32,
    bootstrap_micros: u32,
}

/// The secure sets. The numbers after a name: N, and the digits of the bootstrapping gadget.
///
/// n = 879 is the smallest dimension whose noise is 2^46, n = 959 that of 2^44 (of 2^64): among all n, l and bases, the
/// cheapest that still tells 32 values (N = 2048) or 64 (N = 4096) on the torus apart at 2^-128. One digit is enough where
/// little is made of a bootstrap's result; three, a rotation of which is a thirtieth as noisy as of two, and four, a sixth of
/// that, for sums of many results that are looked up among thousands of values.
static CATALOGUE: [Params; 7] = [
    Params {
        name: "tacit-2048-1",
        lwe_dimension: 879,
        lwe_noise: 14,
        glwe_dimension: 1,
        polynomial_size: 2048,
        glwe_noise: 17,
        keyswitch: gadget(2, 8),
        bootstrap: gadget(23, 1),
        key_bits: 48,
        bootstrap_micros: 7_200,
    },
    Params {
        name: "tacit-2048-2",
        lwe_dimension: 879,
        lwe_noise: 14,
        glwe_dimension: 1,
        polynomial_size: 2048,
        glwe_noise: 17,
        keyswitch: gadget(2, 8),
        bootstrap: gadget(15, 2),
        key_bits: 43,
        bootstrap_micros: 10_400,
    },
    Params {
        name: "tacit-2048-3",
        lwe_dimension: 879,
        lwe_noise: 14,
        glwe_dimension: 1,
        polynomial_size: 2048,
        glwe_noise: 17,
        keyswitch: gadget(2, 8),
        bootstrap: gadget(12, 3),
        key_bits: 46,
        bootstrap_micros: 13_500,
    },
    Params {
        name: "tacit-2048-4",
        lwe_dimension: 879,
        lwe_noise: 14,
        glwe_dimension: 1,
        polynomial_size: 2048,
        glwe_noise: 17,
        keyswitch: gadget(2, 8),
        bootstrap: gadget(9, 4),
        key_bits: 47,
        bootstrap_micros: 16_600,
    },
    Params {
        name: "tacit-4096-1",
        lwe_dimension: 959,
        lwe_noise: 12,
        glwe_dimension: 1,
        polynomial_size: 4096,
        glwe_noise: 3,
        keyswitch: gadget(2, 9),
        bootstrap: gadget(23, 1),
        key_bits: 48,
        bootstrap_micros: 16_000,
    },
    Params {
        name: "tacit-4096-2",
        lwe_dimension: 959,
        lwe_noise: 12,
        glwe_dimension: 1,
        polynomial_size: 4096,
        glwe_noise: 3,
        keyswitch: gadget(2, 9),
        bootstrap: gadget(15, 2),
        key_bits: 43,
        bootstrap_micros: 24_000,
    },
    Params {
        name: "tacit-4096-3",
        lwe_dimension: 959,
        lwe_noise: 12,
        glwe_dimension: 1,
        polynomial_size: 4096,
        glwe_noise: 3,
        keyswitch: gadget(2, 9),
        bootstrap: gadget(12, 3),
        key_bits: 46,
        bootstrap_micros: 31_000,
    },
];

/// Sets without any security, for tests alone.
#[cfg(any(test, feature = "test-util"))]
static TOYS: [Params; 3] = [
    Params {
        name: "toy-insecure",
        lwe_dimension: 48,
        lwe_noise: 6,
        glwe_dimension: 1,
        polynomial_size: 512,
        glwe_noise: 3,
        keyswitch: gadget(3, 6),
        bootstrap: gadget(15, 2),
        key_bits: 46,
        bootstrap_micros: 100,
    },
    Params {
        name: "toy-insecure-k2",
        lwe_dimension: 40,
        lwe_noise: 6,
        glwe_dimension: 2,
        polynomial_size: 512,
        glwe_noise: 3,
        keyswitch: gadget(4, 4),
        bootstrap: gadget(15, 2),
        key_bits: 48,
        bootstrap_micros: 100,
    },
    Params {
        name: "toy-noisy",
        lwe_dimension: 48,
        lwe_noise: 22,
        glwe_dimension: 1,
        polynomial_size: 512,
        glwe_noise: 3,
        keyswitch: gadget(3, 6),
        bootstrap: gadget(15, 2),
        key_bits: 46,
        bootstrap_micros: 100,
    },
];

const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget { base_log, levels }
}

impl Params {
    /// All sets, by N and the digits of the bootstrapping gadget.
    #[must_use]
    pub fn catalogue() -> &'static [Self] {
        &CATALOGUE
    }

    /// The set of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let known = Self::catalogue().iter();
        #[cfg(any(test, feature = "test-util"))]
        let known = known.chain(&TOYS);
        known.into_iter().find(|set| set.name == name)
    }

    /// Small sets **without any security**, for tests: one with k = 1, one with k = 2, one too noisy to be of use.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn toys() -> &'static [Self] {
        &TOYS
    }

    /// What it is called, in files and in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// n, the bits of the small LWE key.
    #[must_use]
    pub fn lwe_dimension(&self) -> usize {
        self.lwe_dimension
    }

    /// b of the small key's noise TUniform(2^b), in units of 2^-32.
    #[must_use]
    pub fn lwe_noise(&self) -> u32 {
        self.lwe_noise
    }

    /// k, the polynomials of the GLWE key.
    #[must_use]
    pub fn glwe_dimension(&self) -> usize {
        self.glwe_dimension
    }

    /// N, the coefficients of a polynomial. A power of two.
    #[must_use]
    pub fn polynomial_size(&self) -> usize {
        self.polynomial_size
    }

    /// k·N, the bits of the large key as an LWE key.
    #[must_use]
    pub fn long_dimension(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
    }

    /// b of the GLWE key's noise TUniform(2^b), in units of 2^-64.
    #[must_use]
    pub fn glwe_noise(&self) -> u32 {
        self.glwe_noise
    }

    /// The digits that keyswitching takes of a coefficient.
    #[must_use]
    pub fn keyswitch(&self) -> Gadget {
        self.keyswitch
    }

    /// The digits that an external product takes of a coefficient.
    #[must_use]
    pub fn bootstrap(&self) -> Gadget {
        self.bootstrap
    }

    /// How many leading bits of each body of the bootstrapping key travel.
    #[must_use]
    pub fn key_bits(&self) -> u32 {
        self.key_bits
    }

    /// Seconds of one core that a bootstrap takes, to choose between sets: measured on one machine for those of two digits
    /// and of N = 2048 with three and four, and by the number of products for the others.
    #[must_use]
    pub fn bootstrap_seconds(&self) -> f64 {
        1e-6 * f64::from(self.bootstrap_micros)
    }

    /// How many leading bits of each body of an input travel: rounding adds noise 2^-42, far below what the modulus
    /// switch of a lookup adds, and little beside the noise of an encryption, which is all that results of a program
    /// without lookups carry.
    #[must_use]
    pub fn input_bits(&self) -> u32 {
        40
    }
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::commons::noise_formulas::secure_noise;
    use tfhe::core_crypto::prelude::{GlweDimension, LweDimension, PolynomialSize, TUniform};

    use super::Params;

    #[test]
    fn every_set_has_the_noise_that_132_bit_security_asks_for() {
        let holds = |set: &Params, lwe_noise: u32, glwe_noise: u32| {
            let q32 = 2f64.powi(32);
            let q64 = 2f64.powi(64);
            let lwe = secure_noise::minimal_lwe_variance_for_132_bits_security_tuniform(
                LweDimension(set.lwe_dimension()),
                q64,
            );
            let glwe = secure_noise::minimal_glwe_variance_for_132_bits_security_tuniform(
                GlweDimension(set.glwe_dimension()),
                PolynomialSize(set.polynomial_size()),
                q64,
            );
            // The formula's floor is 2^4.44 where TUniform(2^3), which Zama's own sets have there, is 2^4.43.
            TUniform::<u32>::new(lwe_noise).variance(q32).0 >= lwe.0 * 0.98
                && TUniform::<u64>::new(glwe_noise).variance(q64).0 >= glwe.0 * 0.98
        };
        for set in Params::catalogue() {
            let (lwe, glwe) = (set.lwe_noise(), set.glwe_noise());
            assert!(holds(set, lwe, glwe), "{}", set.name());
            assert!(
                !holds(set, lwe - 1, glwe),
                "{} could be cheaper",
                set.name()
            );
            assert!(
                !holds(set, lwe, glwe - 1),
                "{} could be cheaper",
                set.name()
            );
        }
        for toy in Params::toys() {
            assert!(
                !holds(toy, toy.lwe_noise(), toy.glwe_noise()),
                "{}",
                toy.name()
            );
        }
    }
}
