//! The program `coordinator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tacit_coordinator::cli::run(std::env::args_os())
}
