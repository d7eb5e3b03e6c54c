//! The CUDA kernels of `tacit-gpu`, on the host: what tests run them on. `fibres.h` says how, and what it finds.

mod recorder;

use std::ffi::{CStr, c_char, c_void};

use tacit_gpu::{Arguments, Device, DeviceError, Grid, Kernel};

pub use recorder::{Counted, Record, Recorder};

/// A device that runs kernels on the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Emulator {
    /// In which order threads run between rendezvous: 0 ascending, 1 descending, others shuffled, half of the copies early.
    pub order: u64,
    /// Folds sums of limbs every second step instead of every 512th.
    pub folding: bool,
}

/// Memory with a margin on both sides.
#[derive(Debug)]
pub struct Memory {
    lines: Box<[Line]>,
    bytes: usize,
}

/// Words that lie as the beginning of a device's memory does: at a multiple of 256 bytes.
#[derive(Debug)]
#[repr(C, align(256))]
struct Line([std::cell::UnsafeCell<u64>; LINE]);

/// Words of a line.
const LINE: usize = 32;

// SAFETY: kernels that write to it run one at a time, behind `Device::launch`, which is unsafe to call.
unsafe impl Sync for Memory {}

/// Words of a margin, which are whole lines, and what stands there, and in fresh memory.
const MARGIN: usize = 2 * LINE;
const POISON: u64 = 0xDEAD_BEEF_0BAD_F00D;

/// An emulated kernel: null, or what went wrong.
pub type Emulated = unsafe extern "C" fn(
    grid: *const u32,
    threads: u32,
    shared: u32,
    arguments: *mut *mut c_void,
    order: u64,
) -> *const c_char;

macro_rules! kernels {
    ($($name:ident),* $(,)?) => {
        unsafe extern "C" {
            $(fn $name(grid: *const u32, threads: u32, shared: u32, arguments: *mut *mut c_void, order: u64) -> *const c_char;)*
        }
    };
}
kernels!(
    emulated_words_product,
    emulated_words_elementwise,
    emulated_words_product_32,
    emulated_words_elementwise_32,
    emulated_limbs_pack,
    emulated_limbs_product,
    emulated_limbs_pack_32,
    emulated_limbs_product_32,
    emulated_limbs_product_folding,
    emulated_limbs_convolution,
    emulated_limbs_convolution_folding,
    emulated_limbs_convolution_32,
    emulated_residues_pack_left_18,
    emulated_residues_pack_left_19,
    emulated_residues_pack_right_18,
    emulated_residues_pack_right_19,
    emulated_residues_product,
    emulated_residues_convolution,
    emulated_residues_combine,
    emulated_ntt62_forward,
    emulated_ntt62_backward,
    emulated_ntt47_forward,
    emulated_ntt47_backward,
    emulated_ntt30_forward,
    emulated_ntt30_backward,
    emulated_ntt62_sums,
    emulated_polynomials_split,
    emulated_polynomials_join,
);

impl Emulator {
    fn kernel(&self, kernel: Kernel) -> Option<Emulated> {
        Some(match kernel {
            Kernel::WordsProduct => emulated_words_product,
            Kernel::WordsElementwise => emulated_words_elementwise,
            Kernel::LimbsPack => emulated_limbs_pack,
            Kernel::LimbsProduct if self.folding => emulated_limbs_product_folding,
            Kernel::LimbsProduct => emulated_limbs_product,
            Kernel::LimbsConvolution if self.folding => emulated_limbs_convolution_folding,
            Kernel::LimbsConvolution => emulated_limbs_convolution,
            Kernel::LimbsConvolution32 => emulated_limbs_convolution_32,
            Kernel::WordsProduct32 => emulated_words_product_32,
            Kernel::WordsElementwise32 => emulated_words_elementwise_32,
            Kernel::LimbsPack32 => emulated_limbs_pack_32,
            Kernel::LimbsProduct32 => emulated_limbs_product_32,
            Kernel::ResiduesPackLeft18 => emulated_residues_pack_left_18,
            Kernel::ResiduesPackLeft19 => emulated_residues_pack_left_19,
            Kernel::ResiduesPackRight18 => emulated_residues_pack_right_18,
            Kernel::ResiduesPackRight19 => emulated_residues_pack_right_19,
            Kernel::ResiduesProduct => emulated_residues_product,
            Kernel::ResiduesConvolution => emulated_residues_convolution,
            Kernel::ResiduesCombine => emulated_residues_combine,
            Kernel::Ntt62Forward => emulated_ntt62_forward,
            Kernel::Ntt62Backward => emulated_ntt62_backward,
            Kernel::Ntt47Forward => emulated_ntt47_forward,
            Kernel::Ntt47Backward => emulated_ntt47_backward,
            Kernel::Ntt30Forward => emulated_ntt30_forward,
            Kernel::Ntt30Backward => emulated_ntt30_backward,
            Kernel::Ntt62Sums => emulated_ntt62_sums,
            Kernel::PolynomialsSplit => emulated_polynomials_split,
            Kernel::PolynomialsJoin => emulated_polynomials_join,
            _ => return None,
        })
    }
}

/// The emulated kernel of this name, if it is emulated.
#[must_use]
pub fn emulated(name: &str) -> Option<Emulated> {
    let mut all = Kernel::ALL.iter();
    let kernel = all.find(|kernel| kernel.name() == name)?;
    Emulator::default().kernel(*kernel)
}

impl Memory {
    fn word(&self, at: usize) -> *mut u64 {
        self.lines[at / LINE].0[at % LINE].get()
    }

    /// Whether nothing wrote beside it.
    fn intact(&self) -> bool {
        let end = MARGIN + self.bytes.div_ceil(8);
        let margins = (0..MARGIN).chain(end..end + MARGIN);
        // SAFETY: no kernel runs while it is asked.
        margins
            .into_iter()
            .all(|at| unsafe { *self.word(at) } == POISON)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.intact(),
                "a kernel wrote beside {} bytes of memory",
                self.bytes
            );
        }
    }
}

impl Device for Emulator {
    type Memory = Memory;

    fn name(&self) -> &'static str {
        "emulated device"
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        Ok(*self)
    }

    fn after(&self, _other: &Self) -> Result<(), DeviceError> {
        Ok(()) // what is asked is done at once
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, DeviceError> {
        let lines = (bytes.div_ceil(8) + 2 * MARGIN).div_ceil(LINE);
        let line = |_| Line([(); LINE].map(|()| std::cell::UnsafeCell::new(POISON)));
        Ok(Memory {
            lines: (0..lines).map(line).collect(),
            bytes,
        })
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.word(MARGIN) as u64
    }

    fn write(&self, memory: &mut Memory, words: &[u64]) -> Result<(), DeviceError> {
        assert!(
            8 * words.len() <= memory.bytes,
            "more words than there is memory"
        );
        for (at, &word) in words.iter().enumerate() {
            let at = MARGIN + at;
            *memory.lines[at / LINE].0[at % LINE].get_mut() = word;
        }
        Ok(())
    }

    fn read(&self, memory: &Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        assert!(
            8 * words.len() <= memory.bytes,
            "more words than there is memory"
        );
        for (at, word) in words.iter_mut().enumerate() {
            // SAFETY: no kernel runs while it is asked.
            *word = unsafe { *memory.word(MARGIN + at) };
        }
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        let why = || "not emulated".to_owned();
        let code = self.kernel(kernel).ok_or_else(|| DeviceError::Launch {
            kernel: kernel.name(),
            why: why(),
        })?;
        // SAFETY: the caller's, and that `kernel` names the code of these arguments.
        unsafe { self.run(code, kernel, grid, arguments) }
    }
}

impl Emulator {
    /// Runs code in the place of a kernel: tests of what the emulator finds bring their own.
    ///
    /// # Safety
    /// The arguments must be those of the code, and the addresses among them those of memory that is large enough.
    ///
    /// # Errors
    /// What the emulator found.
    pub unsafe fn run(
        &self,
        code: Emulated,
        kernel: Kernel,
        grid: Grid,
        mut arguments: Arguments,
    ) -> Result<(), DeviceError> {
        if !possible(&grid) {
            let why = format!("no device runs {grid:?}");
            let kernel = kernel.name();
            return Err(DeviceError::Launch { kernel, why });
        }
        let mut pointers = arguments.pointers();
        let blocks = grid.blocks.as_ptr();
        // SAFETY: the caller's.
        let error = unsafe {
            code(
                blocks,
                grid.threads,
                grid.shared,
                pointers.as_mut_ptr().cast(),
                self.order,
            )
        };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: a string that lives until the next run on this thread.
        let why = unsafe { CStr::from_ptr(error) };
        Err(DeviceError::Launch {
            kernel: kernel.name(),
            why: why.to_string_lossy().into_owned(),
        })
    }
}

/// Whether a grid is what devices since compute capability 8.0 take (CUDA C++ Programming Guide, "Technical Specifications per
/// Compute Capability"); of shared memory, those that have most: 9.0.
#[must_use]
pub fn possible(grid: &Grid) -> bool {
    let [x, y, z] = grid.blocks;
    (1..=i32::MAX.unsigned_abs()).contains(&x)
        && (1..=65_535).contains(&y)
        && (1..=65_535).contains(&z)
        && (1..=1024).contains(&grid.threads)
        && grid.shared <= 227 << 10
}
