//! The program `tacit`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tacit_client::cli::run(std::env::args_os())
}
