//! CUDA's part of this crate, on a driver that is none (`emulator/driver.cpp`): what it asks for, in which order, and that
//! nothing is used before it is there or after it is gone. It says nothing about devices.
#![cfg(all(feature = "cuda", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;
use tacit_gpu::cuda::{Cuda, CudaError};
use tacit_gpu::{Choice, Device, Gpu, Settings, choose, trial};
use tacit_gpu_emulator::emulated;
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Kernels};

/// The driver, for one test at a time; none where the machine has its own.
fn driver() -> Option<(&'static Library, MutexGuard<'static, ()>)> {
    static DRIVER: OnceLock<Option<Library>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = DRIVER.get_or_init(made).as_ref();
    if driver.is_none() {
        println!("SKIPPED: this machine has a driver");
    }
    Some((driver?, turn))
}

/// Compiles and loads it: by its name it is then found as if it were installed.
fn made() -> Option<Library> {
    // SAFETY: the driver's library may be loaded anywhere.
    if unsafe { Library::new("libcuda.so.1") }.is_ok() {
        return None;
    }
    let work = tempfile::tempdir().unwrap();
    let library = work.path().join("libcuda.so.1");
    let done = Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()))
        .args([
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-shared",
            "-Wl,-soname,libcuda.so.1",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("emulator/driver.cpp"))
        .arg("-o")
        .arg(&library)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    // SAFETY: just made; it has no constructors but those of C++'s own library.
    let library = unsafe { Library::new(library).unwrap() };
    type Find = extern "C" fn(*const c_char) -> *mut c_void;
    // SAFETY: its types.
    unsafe {
        library
            .get::<unsafe extern "C" fn(Find)>(b"driver_kernels")
            .unwrap()(kernel);
    }
    Some(library)
}

extern "C" fn kernel(name: *const c_char) -> *mut c_void {
    // SAFETY: the name that cuda.rs gave.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    match emulated(&name) {
        Some(code) => code as *mut c_void,
        // They measure, and are not launched here.
        None if name.starts_with("ceiling") => null_mut::<c_void>().wrapping_add(1),
        None => null_mut(),
    }
}

/// Memory and pages that are there.
fn held(driver: &Library) -> usize {
    // SAFETY: its type.
    unsafe {
        driver
            .get::<unsafe extern "C" fn() -> usize>(b"driver_held")
            .unwrap()()
    }
}

/// Copies there and back, of less than a page to more than both.
fn copies() {
    let device = Cuda::new(0).unwrap();
    for words in [0_usize, 1, 1 << 20, (1 << 20) + 1, 3_500_000] {
        for round in 1..4 {
            let word = |k: u64| k.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ round;
            let mut memory = device.allocate(8 * words).unwrap();
            let sent: Vec<u64> = (0..words as u64).map(word).collect();
            device.write(&mut memory, &sent).unwrap();
            drop(sent);
            let mut found = vec![0; words];
            device.read(&memory, &mut found).unwrap();
            assert!(
                (0..)
                    .map(word)
                    .zip(found)
                    .all(|(sent, found)| sent == found)
            );
        }
    }
    let mut memory = device.allocate(16).unwrap();
    assert!(device.write(&mut memory, &[1, 2, 3]).is_err());
    assert!(device.read(&memory, &mut [0; 3]).is_err());
}

#[test]
fn what_is_copied_arrives() {
    let Some((driver, _turn)) = driver() else {
        return;
    };
    copies();
    assert_eq!(held(driver), 0);
}

#[test]
fn a_driver_may_refuse_pages() {
    let Some((driver, _turn)) = driver() else {
        return;
    };
    // SAFETY: its type.
    let refuse = unsafe {
        driver
            .get::<unsafe extern "C" fn(bool)>(b"driver_refuses_pages")
            .unwrap()
    };
    // SAFETY: as above.
    unsafe { refuse(true) };
    copies();
    // SAFETY: as above.
    unsafe { refuse(false) };
    assert_eq!(held(driver), 0);
}

#[test]
fn a_device_is_tried_and_chosen() {
    let Some((driver, _turn)) = driver() else {
        return;
    };
    trial(&Cuda::new(0).unwrap()).unwrap();
    assert_eq!(held(driver), 0);
    let chosen = choose(Choice::Auto, Settings::default()).unwrap();
    assert_eq!(chosen.name, "no device (device 0)");
    let error = choose(Choice::Cuda { ordinal: 1 }, Settings::default()).unwrap_err();
    assert!(error.to_string().contains("shows 1 device"), "{error}");
}

#[test]
fn a_device_with_little_shared_memory_is_named() {
    let Some((driver, _turn)) = driver() else {
        return;
    };
    // SAFETY: its type.
    let has = unsafe {
        driver
            .get::<unsafe extern "C" fn(u32)>(b"driver_has_shared")
            .unwrap()
    };
    // SAFETY: as above.
    unsafe { has(64 << 10) };
    let refused = Cuda::new(0);
    // SAFETY: as above.
    unsafe { has(227 << 10) };
    let bytes = 64 << 10;
    assert!(matches!(refused, Err(CudaError::TooSmall { bytes: found, .. }) if found == bytes));
}

/// Sessions on threads of their own, with weights that they hold and let go of, in bands on two lanes.
#[test]
fn threads_share_a_device() {
    let Some((driver, _turn)) = driver() else {
        return;
    };
    let settings = Settings {
        memory: 64 << 20,
        least: 0,
        method: None,
    };
    let gpu = Gpu::new(Cuda::new(0).unwrap(), settings).with_bands(4000);
    std::thread::scope(|scope| {
        for session in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                let w = tensor(&[80, 70], session);
                for run in 0..4 {
                    let held = (run % 2 == 0).then(|| gpu.hold(&w).unwrap());
                    let x = tensor(&[90, 80], 10 * session + run);
                    let found = gpu.bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap();
                    let wanted = cpu().bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap();
                    assert_eq!(found, wanted);
                    drop(held);
                }
            });
        }
    });
    assert_eq!(gpu.held(), 0);
    drop(gpu);
    assert_eq!(held(driver), 0);
}
