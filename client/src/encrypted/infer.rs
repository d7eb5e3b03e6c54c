//! `tacit infer --protocol tfhe`: here, or by a server.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::remote::{Progress, Remote};
use super::{local, quantize, rows};
use crate::{text, usage};

/// What is asked, of whomever.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The file of an integer program or of an ONNX model, or its name at a server.
    pub model: &'a Path,
    /// The file of a sample, by which a program is made of an ONNX model.
    pub data: Option<&'a Path>,
    /// The file of the rows.
    pub input: &'a [PathBuf],
    /// The file for the results.
    pub output: &'a [PathBuf],
    /// The directory of keys.
    pub directory: &'a Path,
    /// Threads that compute; 0 for all cores.
    pub threads: usize,
    /// Whether to print one JSON object on the last line.
    pub json: bool,
}

impl Asked<'_> {
    fn output(&self) -> Result<&Path> {
        let [output] = self.output else {
            anyhow::bail!("an integer program has one output: name one file by --output");
        };
        let folder = output
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        ensure!(
            folder.is_none_or(Path::is_dir),
            "cannot write {}: there is no such folder",
            output.display()
        );
        Ok(output)
    }

    fn threads(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        }
    }
}

/// Client and server in this process.
///
/// # Errors
/// One sentence: the file that is not taken, or why the program cannot be run on ciphertexts.
pub fn local(asked: &Asked<'_>) -> Result<()> {
    let output = asked.output()?;
    let program = if quantize::is_program(asked.model)? {
        rows::program(asked.model)?
    } else {
        // The rows that are asked about serve as a sample where there is no other.
        let input = asked.input.first().map(PathBuf::as_path);
        quantize::on_the_fly(asked.model, asked.data.or(input))?
    };
    let input = rows::quantized(&rows::read(asked.input)?, &program.parts().input)?;
    let scale = program.parts().output_scale;
    usage::forget_peak_memory();
    let measured = local::run(program, &input, asked.threads())?;
    rows::write(output, &measured.results, scale)?;
    let rows = input.len();
    println!(
        "{rows} rows, {:.3} s and {:.3} s of processor time each: {} bootstraps with {}, wrong with probability 2^{:.0}; key {}, \
         request {}, result {}",
        measured.seconds / rows as f64,
        measured.cpu_seconds / rows as f64,
        measured.bootstraps,
        measured.parameters,
        measured.log2_p_fail,
        text::bytes(measured.key_bytes as u64),
        text::bytes(measured.request_bytes as u64),
        text::bytes(measured.result_bytes as u64),
    );
    if asked.json {
        let report = json!({
            "protocol": "tfhe",
            "seconds": measured.seconds,
            "cpu_seconds": measured.cpu_seconds,
            "client_seconds": measured.client_seconds,
            "keygen_seconds": measured.keygen_seconds,
            "rows": rows,
            "wrong": measured.wrong,
            "max_abs_error": measured.max_error * f64::from(scale),
            "bootstraps": measured.bootstraps,
            "parameters": measured.parameters,
            "log2_p_fail": measured.log2_p_fail,
            "key_bytes": measured.key_bytes,
            "request_bytes": measured.request_bytes,
            "result_bytes": measured.result_bytes,
            "peak_memory_bytes": usage::peak_memory_bytes(),
            "outputs": [output],
        });
        println!("{report}");
    }
    ensure!(
        measured.wrong == 0,
        "{} values differ from those of the program in the clear",
        measured.wrong
    );
    Ok(())
}

/// Asks a server.
///
/// # Errors
/// One sentence: the file that is not taken, the server that cannot be reached or refuses.
pub fn remote(asked: &Asked<'_>, server: &str) -> Result<()> {
    let server = server
        .parse()
        .map_err(anyhow::Error::msg)
        .context("--server")?;
    let output = asked.output()?;
    let rows = rows::read(asked.input)?;
    let model = asked.model.to_string_lossy();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the network runtime")?;
    runtime.block_on(async {
        let mut remote = Remote::open(&server, &model, asked.directory).await?;
        let input = rows::quantized(&rows, &remote.input())?;
        let start = Instant::now();
        let mut results = Vec::with_capacity(input.len());
        for row in &input {
            results.push(remote.ask(row, &Progress::default()).await?);
        }
        let seconds = start.elapsed().as_secs_f64();
        rows::write(output, &results, remote.output_scale())?;
        if let Some(bytes) = remote.key_sent {
            println!("sent the key to the server: {}", text::bytes(bytes as u64));
        }
        println!("{} rows, {:.3} s each", input.len(), seconds / input.len() as f64);
        if asked.json {
            println!("{}", json!({ "protocol": "tfhe", "seconds": seconds, "rows": input.len(), "outputs": [output] }));
        }
        Ok(())
    })
}
