//! The kernels of `kernels/`, and how many threads each wants.

/// Declares [`Kernel`], each with its name in the device's code.
macro_rules! kernels {
    ($($(#[$doc:meta])* $kernel:ident = $name:literal,)*) => {
        /// A kernel of `kernels/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kernel {
            $($(#[$doc])* $kernel,)*
        }

        impl Kernel {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kernel,)*];

            /// Its name in the device's code.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kernel => $name,)*
                }
            }
        }
    };
}

kernels! {
    /// Matrix products by whole words.
    WordsProduct = "words_product",
    /// Products entry by entry.
    WordsElementwise = "words_elementwise",
    /// Words to planes of limbs.
    LimbsPack = "limbs_pack",
    /// Matrix products of planes of limbs.
    LimbsProduct = "limbs_product",
    /// Products of planes of limbs and windows of images of them.
    LimbsConvolution = "limbs_convolution",
    /// As `WordsProduct`, of words of 32 bits.
    WordsProduct32 = "words_product_32",
    /// As `WordsElementwise`, of words of 32 bits.
    WordsElementwise32 = "words_elementwise_32",
    /// As `LimbsPack`, of words of 32 bits.
    LimbsPack32 = "limbs_pack_32",
    /// As `LimbsProduct`, to words of 32 bits.
    LimbsProduct32 = "limbs_product_32",
    /// As `LimbsConvolution`, to words of 32 bits.
    LimbsConvolution32 = "limbs_convolution_32",
    /// Words to residues of 18 moduli, with the inverses of their cofactors.
    ResiduesPackLeft18 = "residues_pack_left_18",
    /// The same of 19.
    ResiduesPackLeft19 = "residues_pack_left_19",
    /// Words to residues of 18 moduli.
    ResiduesPackRight18 = "residues_pack_right_18",
    /// The same of 19.
    ResiduesPackRight19 = "residues_pack_right_19",
    /// Matrix products of residues.
    ResiduesProduct = "residues_product",
    /// Products of residues and windows of images of them.
    ResiduesConvolution = "residues_convolution",
    /// Words from the digits that those leave.
    ResiduesCombine = "residues_combine",
    /// Transforms modulo primes below 2^62,
    Ntt62Forward = "ntt62_forward",
    /// and back.
    Ntt62Backward = "ntt62_backward",
    /// Transforms modulo primes below 2^47,
    Ntt47Forward = "ntt47_forward",
    /// and back.
    Ntt47Backward = "ntt47_backward",
    /// Transforms modulo primes below 2^30,
    Ntt30Forward = "ntt30_forward",
    /// and back.
    Ntt30Backward = "ntt30_backward",
    /// Sums of products of transforms modulo primes below 2^62.
    Ntt62Sums = "ntt62_sums",
    /// Words to residues modulo primes.
    PolynomialsSplit = "polynomials_split",
    /// Words from digits of primes.
    PolynomialsJoin = "polynomials_join",
    /// Nothing but products of bytes on tensor cores,
    CeilingBytes = "ceiling_bytes",
    /// multiply-adds of double precision,
    CeilingDoubles = "ceiling_doubles",
    /// multiply-adds of words,
    CeilingWords = "ceiling_words",
    /// copies.
    CeilingCopy = "ceiling_copy",
}

/// Blocks, and what each of them has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// How many, along each axis.
    pub blocks: [u32; 3],
    /// Threads of a block, at most 1024.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

impl Kernel {
    /// Bytes of shared memory that a block of any kernel takes at most: 96 KiB of `limbs_convolution`'s stages, and 1 KiB of where
    /// its windows are.
    pub const SHARED: usize = 97 << 10;

    /// So many blocks, as the kernel wants them.
    #[must_use]
    pub fn grid(self, blocks: [u32; 3]) -> Grid {
        let threads = match self {
            Self::LimbsPack
            | Self::LimbsPack32
            | Self::ResiduesPackLeft18
            | Self::ResiduesPackLeft19
            | Self::ResiduesPackRight18
            | Self::ResiduesPackRight19 => 128,
            _ => 256,
        };
        let shared = match self {
            // Stages of both operands: three, or four of less than 24 KiB.
            Self::LimbsProduct | Self::LimbsConvolution => 3 * (64 + 64) * 256,
            Self::LimbsProduct32 | Self::LimbsConvolution32 => 4 * (64 + 64) * 128,
            Self::ResiduesProduct | Self::ResiduesConvolution => 4 * (128 + 128) * 64,
            _ => 0,
        };
        Grid {
            blocks,
            threads,
            shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kernel;

    #[test]
    fn no_kernel_takes_more_shared_memory_than_is_asked_of_devices() {
        let dynamic = Kernel::ALL.iter().map(|kernel| kernel.grid([1; 3]).shared);
        // 64 columns of 16 bytes beside it.
        let most = dynamic.max().map(|most| most as usize + 1024);
        assert_eq!(most, Some(Kernel::SHARED));
    }
}
