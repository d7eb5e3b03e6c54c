//! `tacit keygen`: the key that decrypts, and the key that a server computes with.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use tacit_api::secret_file;
use tacit_fhe::{ClientKey, EvaluationKey, Params};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::text;

/// What `tacit keygen` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// What the key is for
    #[arg(long)]
    protocol: KeyProtocol,
    /// The parameter set, which a service names
    #[arg(long)]
    parameters: Option<String>,
    /// The party that the key is for, as in --server PARTY@HOST:PORT
    #[arg(long)]
    server: String,
    /// The folder for the two files
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// Protocols whose clients have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyProtocol {
    /// Inference on ciphertexts
    Tfhe,
}

/// Makes a key pair.
///
/// # Errors
/// There is no such parameter set, a key is there already, or the files cannot be written.
pub fn keygen(args: &Args) -> Result<()> {
    let KeyProtocol::Tfhe = args.protocol;
    let names = || {
        let names: Vec<_> = Params::catalogue().iter().map(Params::name).collect();
        names.join(", ")
    };
    let Some(name) = &args.parameters else {
        bail!(
            "say for which parameter set, by --parameters; there are: {}",
            names()
        );
    };
    let params = Params::catalogue().iter().find(|set| set.name() == *name);
    let params =
        params.with_context(|| format!("no parameter set {name}; there are: {}", names()))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ensure!(
        !args.server.is_empty() && args.server.chars().all(plain),
        "--server is the name of a party, as in the roster"
    );
    let files = Files::of(&args.dir, &args.server, params);
    ensure!(
        !files.secret.exists(),
        "{} is there already: keys are never replaced",
        files.secret.display()
    );
    files.make(params)?;
    println!("{}  decrypts: keep it to yourself", files.secret.display());
    println!(
        "{}  is what a server computes with, {}",
        files.evaluation.display(),
        text::bytes(EvaluationKey::wire_len(params) as u64)
    );
    Ok(())
}

/// The files of a key pair, and of a key that needs no other half.
#[derive(Clone, Debug)]
pub struct Files {
    /// What decrypts: readable by its owner alone.
    pub secret: PathBuf,
    /// What a server computes with.
    pub evaluation: PathBuf,
    /// A key for programs that look nothing up, where there is no pair: readable by its owner alone.
    pub alone: PathBuf,
}

impl Files {
    /// Those for a server and a parameter set in a folder. Every server gets a key of its own: what one might learn of it,
    /// should it deviate and its answers become known, opens no question that another was asked.
    #[must_use]
    pub fn of(folder: &Path, server: &str, params: &Params) -> Self {
        let file = |ending| folder.join(format!("tfhe-{server}-{}.{ending}", params.name()));
        Self {
            secret: file("key"),
            evaluation: file("evaluation-key"),
            alone: file("sums-key"),
        }
    }

    /// Makes the pair. The public half gets its name once the secret half, which is never replaced, has its own: of two
    /// that make a key at once, one is refused and leaves nothing.
    ///
    /// # Errors
    /// If there is no randomness, a key is there already, or the files cannot be written.
    pub fn make(&self, params: &'static Params) -> Result<(ClientKey, Vec<u8>)> {
        let (secret, evaluation) = ClientKey::generate(params)?;
        let evaluation = evaluation.to_bytes();
        let shown = |path: &Path| format!("cannot write {}", path.display());
        let folder = self.evaluation.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).with_context(|| shown(folder))?;
        let mut public = NamedTempFile::new_in(folder).with_context(|| shown(folder))?;
        public
            .write_all(&evaluation)
            .with_context(|| shown(&self.evaluation))?;
        secret_file::create(&self.secret, &secret.to_bytes())
            .with_context(|| shown(&self.secret))?;
        public
            .persist(&self.evaluation)
            .with_context(|| shown(&self.evaluation))?;
        Ok((secret, evaluation))
    }

    /// Reads the pair, or makes it where there is none.
    ///
    /// # Errors
    /// Names the file that cannot be used: readable by others, of another version, damaged, or one without the other.
    pub fn open_or_make(&self, params: &'static Params) -> Result<(ClientKey, Vec<u8>)> {
        if !self.secret.exists() {
            eprintln!(
                "tacit: note: makes a key for {} in {}",
                params.name(),
                self.secret.display()
            );
            return self.make(params);
        }
        let shown = |path: &Path| path.display().to_string();
        let secret = open(&self.secret)?;
        let evaluation = fs::read(&self.evaluation).with_context(|| shown(&self.evaluation))?;
        let public = EvaluationKey::from_bytes(&evaluation);
        let public = public.with_context(|| shown(&self.evaluation))?;
        ensure!(
            public.id() == secret.id(),
            "{} belongs to another key than {}",
            self.evaluation.display(),
            self.secret.display()
        );
        Ok((secret, evaluation))
    }

    /// Reads a key for programs that look nothing up: that of the pair if there is one, which need not be whole. Where
    /// there is neither, it makes one without an evaluation key, in a moment.
    ///
    /// # Errors
    /// Names the file that cannot be used or written.
    pub fn open_or_make_alone(&self, params: &'static Params) -> Result<ClientKey> {
        if let Some(there) = [&self.secret, &self.alone].into_iter().find(|p| p.exists()) {
            return open(there);
        }
        let shown = || format!("cannot write {}", self.alone.display());
        let folder = self.alone.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).with_context(shown)?;
        let secret = ClientKey::generate_alone(params)?;
        secret_file::create(&self.alone, &secret.to_bytes()).with_context(shown)?;
        Ok(secret)
    }
}

/// The key that decrypts, in a file that nobody else can read.
fn open(path: &Path) -> Result<ClientKey> {
    let shown = || path.display().to_string();
    ensure!(
        !secret_file::is_exposed(path).with_context(shown)?,
        "{} can be read by others: run chmod 600 on it, or make a new key in another folder",
        path.display()
    );
    let secret = Zeroizing::new(fs::read(path).with_context(shown)?);
    ClientKey::from_bytes(&secret).with_context(shown)
}
