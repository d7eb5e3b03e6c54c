//! Kernels with one thing wrong each are found out: what the emulator says of those without means something.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wrong;

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

use wrong::MUTANTS;

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
