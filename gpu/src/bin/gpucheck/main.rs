//! Is this device right, and how fast is it? One file to carry to a machine with a GPU: needs glibc 2.34 and a driver.
//!
//! `gpucheck` holds every kernel against the processor on fresh random inputs, then times each by the device's own clock,
//! and prints tables in Markdown: what was reached, and the share of what the device's units reached in the same run.
//! `gpucheck --small` leaves out what takes gigabytes.

mod ceilings;
mod check;
mod networks;
mod products;
mod random;
mod transforms;

use std::process::ExitCode;

use tacit_gpu::cuda::Cuda;

fn main() -> ExitCode {
    let small = std::env::args()
        .skip(1)
        .any(|argument| argument == "--small");
    match run(small) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("\nWRONG: see above");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn run(small: bool) -> Result<bool> {
    let device = Cuda::new(0)?;
    println!("# {device:?}, driver {}\n", device.driver());
    let right = check::all(&device)?;
    let ceilings = ceilings::measure(&device)?;
    products::table(&device, &ceilings, small)?;
    transforms::table(&device, &ceilings)?;
    networks::table(&device, small)?;
    Ok(right)
}
