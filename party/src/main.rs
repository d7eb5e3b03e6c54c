//! The program `party`.

use std::process::ExitCode;

use tacit_party::memory::{Allocator, keep_freed};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    keep_freed();
    tacit_party::cli::run(std::env::args_os())
}
