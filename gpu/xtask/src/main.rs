//! `cargo xtask kernels` compiles `gpu/kernels/*.cu` for devices, by a pinned compiler from PyPI that it fetches into
//! `target/` (`fetch` does that alone); `--check` compares what it gets with what is committed instead. Needs Python 3 with venv, and a C++ compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use tacit_gpu::manifest::{self, COMPILER, FLAGS, SOURCES};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["fetch"] => compiler().map(drop),
        ["kernels"] => kernels(false),
        ["kernels", "--check"] => kernels(true),
        _ => {
            eprintln!("cargo xtask kernels [--check] | fetch");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn kernels(check: bool) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    let folder = folder.canonicalize().context("gpu/kernels")?;
    let compiler = compiler()?;
    let made = compiler.work.join("made");
    fs::create_dir_all(&made)?;
    for name in SOURCES {
        let source = folder.join(format!("{name}.cu"));
        let code = made.join(format!("{name}.fatbin"));
        compiler.compile(&source, &code)?;
        let committed = folder.join(format!("{name}.fatbin"));
        if check {
            let same = fs::read(&code)? == fs::read(&committed)?;
            ensure!(
                same,
                "{name}.fatbin is not what its source gives: run `cargo xtask kernels`"
            );
        } else {
            fs::copy(&code, &committed)?;
        }
    }
    let manifest_file = folder.join(manifest::NAME);
    let text = manifest::of(&folder)?;
    if check {
        ensure!(
            fs::read_to_string(&manifest_file)? == text,
            "the manifest is stale: run `cargo xtask kernels`"
        );
    } else {
        fs::write(&manifest_file, text)?;
    }
    Ok(())
}

struct Compiler {
    nvcc: PathBuf,
    work: PathBuf,
}

/// The pinned compiler, fetched if it is not there yet.
fn compiler() -> Result<Compiler> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let work = target.join("cuda");
    let python = work.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&work))?;
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    ];
    run(Command::new(&python).args(pip).args(COMPILER))?;
    let purelib = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    let found = run(Command::new(&python).args(["-c", purelib]))?;
    let nvcc = Path::new(found.trim()).join("nvidia/cu13/bin/nvcc");
    ensure!(nvcc.exists(), "no nvcc in {}", found.trim());
    Ok(Compiler { nvcc, work })
}

impl Compiler {
    /// Compiles a file. A kernel whose registers spill is an error: it would be slow, and nothing else would tell.
    fn compile(&self, source: &Path, code: &Path) -> Result<()> {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        // By its name alone, so that what is made does not depend on where.
        let said = run(Command::new(&self.nvcc)
            .current_dir(source.parent().unwrap_or_else(|| Path::new(".")))
            .args(FLAGS)
            .arg("-o")
            .arg(code)
            .arg(name.as_ref()))?;
        let mut kernel = "";
        for line in said.lines() {
            if let Some((_, rest)) = line.split_once("entry function '") {
                kernel = rest.split('\'').next().unwrap_or_default();
            }
            if let Some((_, used)) = line.split_once("Used ") {
                println!("{name}: {kernel}: {used}");
            }
            let spills = line.contains("spill")
                && !line.contains(", 0 bytes spill stores, 0 bytes spill loads");
            ensure!(!spills, "{name}: {kernel} spills registers: {line}");
        }
        Ok(())
    }
}

/// What a command said, on both streams.
fn run(command: &mut Command) -> Result<String> {
    let done = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        bail!("{command:?} failed:\n{said}");
    }
    Ok(said.into_owned())
}
