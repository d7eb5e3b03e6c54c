//! Kernels with one thing wrong each are found out: what the emulator says of those without means something.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::num::Wrapping;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use libloading::Library;
use ndarray::{ArrayD, IxDyn};
use tacit_gpu::{
    Arguments, Device, DeviceError, Field, Gpu, Grid, Kernel, Method, Settings, Transforms, primes,
};
use tacit_gpu_emulator::{Emulated, Emulator, Memory};
use tacit_mpc::kernels::cpu;
use tacit_mpc::{Bilinear, Conv, Kernels, Tensor};

/// What is wrong: of which kernels' file, in which file, instead of what. Products or transforms of these kernels show it.
const MUTANTS: [(&str, &str, &str, &str, &str); 26] = [
    (
        "words: no barrier before reading",
        "words.cu",
        "words.cu",
        "      }\n      __syncthreads();\n#pragma unroll\n      for (uint32_t d",
        "      }\n      for (uint32_t d",
    ),
    (
        "words: no barrier after reading",
        "words.cu",
        "words.cu",
        "      __syncthreads();\n    }\n  }\n",
        "    }\n  }\n",
    ),
    (
        "limbs: no barrier between packing's halves",
        "limbs.cu",
        "tiles.cuh",
        "  __syncthreads();\n  const uint32_t r = threadIdx.x / 4",
        "  const uint32_t r = threadIdx.x / 4",
    ),
    (
        "limbs: no barrier in the pipeline",
        "limbs.cu",
        "tiles.cuh",
        "    __syncthreads();  // this step's",
        "    // this step's",
    ),
    (
        "limbs: waits for one group less",
        "limbs.cu",
        "tiles.cuh",
        "copy_wait<STAGES - 2>",
        "copy_wait<STAGES - 1>",
    ),
    (
        "limbs: fetches over what others still read",
        "limbs.cu",
        "tiles.cuh",
        "    __syncthreads();  // this step's copies of all threads are there, and nobody reads the stage that is fetched next\n    fetch(step + STAGES - 1);\n",
        "    fetch(step + STAGES - 1);\n    __syncthreads();\n",
    ),
    (
        "limbs: chunks stored elsewhere than read",
        "limbs.cu",
        "tiles.cuh",
        "copy_async(chunk(stage, r, c),",
        "copy_async(stage + r * Step::ALL + c * 16,",
    ),
    (
        "limbs: columns of the second half from the first",
        "limbs.cu",
        "limbs.cu",
        "warp_n + lane % 8 + lane / 16 * 8",
        "warp_n + lane % 16",
    ),
    (
        "limbs: sums kept when they are folded",
        "limbs.cu",
        "limbs.cu",
        "        sum[s][t][u][e] = 0;\n",
        "",
    ),
    (
        "limbs: what was folded is forgotten",
        "limbs.cu",
        "limbs.cu",
        "    accumulate = true;\n",
        "",
    ),
    (
        "limbs: a stage too many",
        "limbs.cu",
        "tiles.cuh",
        "step % STAGES * STAGE_BYTES;\n    if",
        "step % (STAGES + 1) * STAGE_BYTES;\n    if",
    ),
    (
        "residues: no barrier in the pipeline",
        "residues.cu",
        "tiles.cuh",
        "    __syncthreads();  // this step's",
        "    // this step's",
    ),
    (
        "residues: waits for one group less",
        "residues.cu",
        "tiles.cuh",
        "copy_wait<STAGES - 2>",
        "copy_wait<STAGES - 1>",
    ),
    (
        "residues: fetches over what others still read",
        "residues.cu",
        "tiles.cuh",
        "    __syncthreads();  // this step's copies of all threads are there, and nobody reads the stage that is fetched next\n    fetch(step + STAGES - 1);\n",
        "    fetch(step + STAGES - 1);\n    __syncthreads();\n",
    ),
    (
        "residues: chunks stored elsewhere than read",
        "residues.cu",
        "tiles.cuh",
        "copy_async(chunk(stage, r, c),",
        "copy_async(stage + r * Step::ALL + c * 16,",
    ),
    (
        "residues: quotients are not rounded",
        "residues.cu",
        "residues.cu",
        "(fraction + (1ull << 55)) >> 56",
        "fraction >> 56",
    ),
    (
        "residues: negative sums are not lifted",
        "residues.cu",
        "residues.cu",
        "(uint32_t)sum[t][u][e] + q.lift",
        "(uint32_t)sum[t][u][e]",
    ),
    (
        "limbs: windows go on to the wrong place",
        "limbs.cu",
        "tiles.cuh",
        "if (++place[a] < view.k_extent[a]) return;",
        "if (++place[a] <= view.k_extent[a]) return;",
    ),
    (
        "limbs: padding of windows is not zero",
        "limbs.cu",
        "tiles.cuh",
        "Step::ALL;\n    return there;\n  }\n};",
        "Step::ALL;\n    return column.sample >= 0;\n  }\n};",
    ),
    (
        "residues: windows go on to the wrong place",
        "residues.cu",
        "tiles.cuh",
        "if (++place[a] < view.k_extent[a]) return;",
        "if (++place[a] <= view.k_extent[a]) return;",
    ),
    (
        "residues: padding of windows is not zero",
        "residues.cu",
        "tiles.cuh",
        "Step::ALL;\n    return there;\n  }\n};",
        "Step::ALL;\n    return column.sample >= 0;\n  }\n};",
    ),
    (
        "limbs: no barrier before windows are read",
        "limbs.cu",
        "tiles.cuh",
        "term = 0;\n    __syncthreads();",
        "term = 0;",
    ),
    (
        "limbs: windows of the second term from the first",
        "limbs.cu",
        "tiles.cuh",
        "    term++;\n",
        "",
    ),
    (
        "ntt: no barrier between passes",
        "ntt.cu",
        "ntt.cu",
        "  __syncthreads();\n}\n",
        "}\n",
    ),
    (
        "ntt: no barrier after loading",
        "ntt.cu",
        "ntt.cu",
        "  __syncthreads();\n\n  const uint32_t mine",
        "  const uint32_t mine",
    ),
    (
        "ntt: not all threads come to the barrier",
        "ntt.cu",
        "ntt.cu",
        "  __syncthreads();\n}\n",
        "  if (thread != 5) __syncthreads();\n}\n",
    ),
];

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// Compiles a mutant's file.
fn compile(at: usize, work: &Path) -> PathBuf {
    let (what, kernels, file, right, wrong) = MUTANTS[at];
    let source = fs::read_to_string(folder("../kernels").join(file)).unwrap();
    assert_eq!(
        source.matches(right).count(),
        1,
        "{what}: the kernel has changed"
    );
    // A header beside the kernels is found before the one in their folder.
    let work = work.join(at.to_string());
    fs::create_dir(&work).unwrap();
    let (mutant, library) = (work.join(kernels), work.join("mutant.so"));
    fs::copy(folder("../kernels").join(kernels), &mutant).unwrap();
    fs::write(work.join(file), source.replace(right, wrong)).unwrap();
    cxx(
        what,
        &[&mutant, &work.join("../fibres.o"), &library],
        "-shared",
    );
    library
}

/// Compiles what runs all mutants: once.
fn compile_fibres(work: &Path) {
    let files = [&folder("fibres.cpp"), &work.join("fibres.o")];
    cxx("fibres", &files, "-c");
}

/// Runs the compiler: the last file is made of the others, the first of which is a source.
fn cxx(what: &str, files: &[&PathBuf], make: &str) {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let options = [
        "-std=c++17",
        "-O1",
        "-fPIC",
        "-w",
        "-ffp-contract=off",
        "-fno-strict-aliasing",
    ];
    let [source, others @ .., made] = files else {
        panic!("a source and what is made of it");
    };
    let done = Command::new(compiler)
        .args(options)
        .arg(make)
        .arg("-I")
        .arg(folder("../kernels"))
        .arg("-I")
        .arg(folder(""))
        .arg("-xc++")
        .arg(source)
        .arg("-xnone")
        .args(others)
        .arg("-o")
        .arg(made)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A device whose kernels of one file have something wrong.
#[derive(Clone)]
struct Mutant {
    emulator: Emulator,
    library: Arc<Library>,
}

impl Mutant {
    fn new(library: &Path, order: u64, folding: bool) -> Self {
        Self {
            emulator: Emulator { order, folding },
            // SAFETY: just made; it has no constructors but those of C++'s own library.
            library: Arc::new(unsafe { Library::new(library).unwrap() }),
        }
    }
}

impl Device for Mutant {
    type Memory = Memory;

    fn name(&self) -> &'static str {
        "mutant"
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        Ok(self.clone())
    }

    fn after(&self, _other: &Self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, DeviceError> {
        self.emulator.allocate(bytes)
    }

    fn address(&self, memory: &Memory) -> u64 {
        self.emulator.address(memory)
    }

    fn write(&self, memory: &mut Memory, words: &[u64]) -> Result<(), DeviceError> {
        self.emulator.write(memory, words)
    }

    fn read(&self, memory: &Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        self.emulator.read(memory, words)
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        let folds = [Kernel::LimbsProduct, Kernel::LimbsConvolution];
        let folding = self.emulator.folding && folds.contains(&kernel);
        let name = format!(
            "emulated_{}{}",
            kernel.name(),
            if folding { "_folding" } else { "" }
        );
        // SAFETY: a kernel of this name has this type.
        match unsafe { self.library.get::<Emulated>(name.as_bytes()) } {
            // SAFETY: the caller's.
            Ok(code) => unsafe { self.emulator.run(*code, kernel, grid, arguments) },
            // SAFETY: the caller's.
            Err(_) => unsafe { self.emulator.launch(kernel, grid, arguments) },
        }
    }
}

fn tensor(shape: &[usize], seed: u64) -> Tensor {
    let mut x = seed;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed;
        Wrapping(x)
    })
}

/// Whether a device computes a product, or a convolution, or a transform as it should.
fn right<D: Device + 'static>(device: impl Fn() -> D, file: &str, windows: bool) -> bool {
    if file == "ntt.cu" {
        let p = primes(62, 11, 1);
        let device = device();
        let transforms = Transforms::new(&device, Field::Prime62, 10, &p).unwrap();
        let values: Vec<u64> = tensor(&[1024], 5).iter().map(|x| x.0 % p[0]).collect();
        let mut memory = transforms.upload(&values).unwrap();
        return transforms.forward(&mut memory, 1024).is_ok()
            && transforms.backward(&mut memory, None, 1024).is_ok()
            && transforms.download(&memory, 1024).unwrap() == values;
    }
    let method = match file {
        "words.cu" => Method::Words,
        "limbs.cu" => Method::Limbs,
        _ => Method::Residues,
    };
    let settings = Settings {
        method: Some(method),
        least: 0,
        ..Settings::default()
    };
    let c = Conv {
        pad_begin: [1, 0, 0],
        ..Conv::new(&[3, 40], &[2, 2])
    };
    let (f, x, y) = if windows {
        (Bilinear::Conv(c), vec![1, 64, 3, 40], vec![20, 64, 2, 2])
    } else {
        (Bilinear::MatMul, vec![20, 330], vec![330, 24])
    };
    let operands = [1, 2].map(|seed| (tensor(&x, seed), tensor(&y, seed + 2)));
    let terms = operands.each_ref().map(|(x, y)| (x, y));
    let wanted = cpu().bilinear(f, &terms).unwrap();
    Gpu::new(device(), settings)
        .bilinear(f, &terms)
        .is_ok_and(|found| found == wanted)
}

#[test]
fn every_mutant_is_found_out() {
    let work = tempfile::tempdir().unwrap();
    compile_fibres(work.path());
    let (mut missed, mut sound) = (Vec::new(), HashSet::new());
    for (at, (what, file, ..)) in MUTANTS.into_iter().enumerate() {
        let folding = what.contains("fold");
        let windows = what.contains("windows");
        if sound.insert((file, folding, windows)) {
            let healthy = |order| right(|| Emulator { order, folding }, file, windows);
            assert!((0..3).all(healthy), "{what}: the kernel as it is");
        }
        let library = compile(at, work.path());
        // Memory that was written beside is told by a panic.
        let survives = |order| {
            let run = || right(|| Mutant::new(&library, order, folding), file, windows);
            catch_unwind(AssertUnwindSafe(run)).unwrap_or(false)
        };
        if (0..3).all(survives) {
            missed.push(what);
        }
    }
    assert_eq!(missed, [""; 0]);
}
