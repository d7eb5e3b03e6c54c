//! What the host asks of a device: memory, copies, launches. CUDA answers it, and in tests the emulator.

use bytemuck::Pod;

/// A kernel of `kernels/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Matrix products by whole words.
    WordsProduct,
    /// Products entry by entry.
    WordsElementwise,
    /// Words to planes of limbs.
    LimbsPack,
    /// Matrix products of planes of limbs.
    LimbsProduct,
    /// Products of planes of limbs and windows of images of them.
    LimbsConvolution,
    /// As `WordsProduct`, of words of 32 bits.
    WordsProduct32,
    /// As `WordsElementwise`, of words of 32 bits.
    WordsElementwise32,
    /// As `LimbsPack`, of words of 32 bits.
    LimbsPack32,
    /// As `LimbsProduct`, to words of 32 bits.
    LimbsProduct32,
    /// As `LimbsConvolution`, to words of 32 bits.
    LimbsConvolution32,
    /// Words to residues of 18 moduli, with the inverses of their cofactors.
    ResiduesPackLeft18,
    /// The same of 19.
    ResiduesPackLeft19,
    /// Words to residues of 18 moduli.
    ResiduesPackRight18,
    /// The same of 19.
    ResiduesPackRight19,
    /// Matrix products of residues.
    ResiduesProduct,
    /// Products of residues and windows of images of them.
    ResiduesConvolution,
    /// Words from the digits that those leave.
    ResiduesCombine,
    /// Transforms modulo primes below 2^62,
    Ntt62Forward,
    /// and back.
    Ntt62Backward,
    /// Transforms modulo primes below 2^47,
    Ntt47Forward,
    /// and back.
    Ntt47Backward,
    /// Transforms modulo primes below 2^30,
    Ntt30Forward,
    /// and back.
    Ntt30Backward,
    /// Words to residues modulo primes.
    PolynomialsSplit,
    /// Words from digits of primes.
    PolynomialsJoin,
    /// Nothing but products of bytes on tensor cores,
    CeilingBytes,
    /// multiply-adds of double precision,
    CeilingDoubles,
    /// multiply-adds of words,
    CeilingWords,
    /// copies.
    CeilingCopy,
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
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::WordsProduct,
        Self::WordsElementwise,
        Self::LimbsPack,
        Self::LimbsProduct,
        Self::WordsProduct32,
        Self::WordsElementwise32,
        Self::LimbsPack32,
        Self::LimbsProduct32,
        Self::LimbsConvolution,
        Self::LimbsConvolution32,
        Self::ResiduesPackLeft18,
        Self::ResiduesPackLeft19,
        Self::ResiduesPackRight18,
        Self::ResiduesPackRight19,
        Self::ResiduesProduct,
        Self::ResiduesConvolution,
        Self::ResiduesCombine,
        Self::Ntt62Forward,
        Self::Ntt62Backward,
        Self::Ntt47Forward,
        Self::Ntt47Backward,
        Self::Ntt30Forward,
        Self::Ntt30Backward,
        Self::PolynomialsSplit,
        Self::PolynomialsJoin,
        Self::CeilingBytes,
        Self::CeilingDoubles,
        Self::CeilingWords,
        Self::CeilingCopy,
    ];

    /// Its name in the device's code.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WordsProduct => "words_product",
            Self::WordsElementwise => "words_elementwise",
            Self::LimbsPack => "limbs_pack",
            Self::LimbsProduct => "limbs_product",
            Self::WordsProduct32 => "words_product_32",
            Self::WordsElementwise32 => "words_elementwise_32",
            Self::LimbsPack32 => "limbs_pack_32",
            Self::LimbsProduct32 => "limbs_product_32",
            Self::LimbsConvolution => "limbs_convolution",
            Self::LimbsConvolution32 => "limbs_convolution_32",
            Self::ResiduesPackLeft18 => "residues_pack_left_18",
            Self::ResiduesPackLeft19 => "residues_pack_left_19",
            Self::ResiduesPackRight18 => "residues_pack_right_18",
            Self::ResiduesPackRight19 => "residues_pack_right_19",
            Self::ResiduesProduct => "residues_product",
            Self::ResiduesConvolution => "residues_convolution",
            Self::ResiduesCombine => "residues_combine",
            Self::Ntt62Forward => "ntt62_forward",
            Self::Ntt62Backward => "ntt62_backward",
            Self::Ntt47Forward => "ntt47_forward",
            Self::Ntt47Backward => "ntt47_backward",
            Self::Ntt30Forward => "ntt30_forward",
            Self::Ntt30Backward => "ntt30_backward",
            Self::PolynomialsSplit => "polynomials_split",
            Self::PolynomialsJoin => "polynomials_join",
            Self::CeilingBytes => "ceiling_bytes",
            Self::CeilingDoubles => "ceiling_doubles",
            Self::CeilingWords => "ceiling_words",
            Self::CeilingCopy => "ceiling_copy",
        }
    }

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
            // Four stages of both operands.
            Self::LimbsProduct | Self::LimbsConvolution => 4 * (64 + 64) * 256,
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

/// The arguments of a launch, in order: addresses, numbers and structures, as `cuLaunchKernel` takes them.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Each in words, so that all are aligned.
    values: Vec<Box<[u64]>>,
}

impl Arguments {
    /// One more argument, at most as aligned as a word.
    #[must_use]
    pub fn with<T: Pod>(mut self, value: T) -> Self {
        let bytes = bytemuck::bytes_of(&value);
        let mut words = vec![0_u64; bytes.len().div_ceil(8)].into_boxed_slice();
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        self.values.push(words);
        self
    }

    /// Pointers to the arguments, valid as long as they are.
    pub fn pointers(&mut self) -> Vec<*mut u64> {
        self.values.iter_mut().map(|v| v.as_mut_ptr()).collect()
    }
}

/// Why a device did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is not as much memory.
    #[error(
        "the device has no {bytes} bytes of memory left: let fewer parties share it, or give it less to do at a time"
    )]
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// A kernel did not run.
    #[error("kernel {kernel}: {why}")]
    Launch {
        /// Which,
        kernel: &'static str,
        /// and what the device says.
        why: String,
    },
}

/// A device and one of its lanes: what is asked of a lane is done in order, and beside what is asked of others.
pub trait Device: Send + Sync + Sized {
    /// Memory of the device.
    type Memory: Send + Sync;

    /// What it is called.
    fn name(&self) -> &str;

    /// Another lane of the same device. Who has one alone gives it again.
    ///
    /// # Errors
    /// If the device refuses.
    fn lane(&self) -> Result<Self, DeviceError>;

    /// What is asked of this lane from now on waits for all that `other`, a lane of the same device, was asked so far. Nobody
    /// else puts lanes in order: memory that one lane has written is used by another, or freed, behind this.
    ///
    /// # Errors
    /// If the device fails.
    fn after(&self, other: &Self) -> Result<(), DeviceError>;

    /// Memory for so many bytes, freed in the order of this lane, whose contents may be anything.
    ///
    /// # Errors
    /// If there is not as much.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, DeviceError>;

    /// Where it begins.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Copies words to its beginning; they may be changed when this returns.
    ///
    /// # Errors
    /// If the device fails, or they do not fit.
    fn write(&self, memory: &mut Self::Memory, words: &[u64]) -> Result<(), DeviceError>;

    /// Copies words from its beginning, once all before is done.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn read(&self, memory: &Self::Memory, words: &mut [u64]) -> Result<(), DeviceError>;

    /// Runs a kernel on a grid of blocks.
    ///
    /// # Safety
    /// The arguments must be those of the kernel, and the addresses among them those of memory that is large enough.
    ///
    /// # Errors
    /// If the device refuses or fails.
    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError>;
}

/// Who borrows a device has one, and no other lane of it.
impl<D: Device> Device for &D {
    type Memory = D::Memory;

    fn name(&self) -> &str {
        (*self).name()
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        Ok(self)
    }

    fn after(&self, _other: &Self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, DeviceError> {
        (*self).allocate(bytes)
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        (*self).address(memory)
    }

    fn write(&self, memory: &mut Self::Memory, words: &[u64]) -> Result<(), DeviceError> {
        (*self).write(memory, words)
    }

    fn read(&self, memory: &Self::Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        (*self).read(memory, words)
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { (*self).launch(kernel, grid, arguments) }
    }
}
