//! The program `party`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tacit_party::cli::run(std::env::args_os())
}
