//! `tacit infer`: a model on inputs that nobody may see.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tacit_nn::onnx::{Constant, Output};

use crate::forecast::{self, Expected};
use crate::local::{Prepared, Protocol, Run, Work, distance, finished, run};
use crate::npy::{self, Dtype, Kind};
use crate::{text, usage};

/// What `tacit infer` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Run all parties on this machine, as threads of this process
    #[arg(long)]
    local: bool,
    /// Ask a server that sees neither inputs nor outputs, by --protocol tfhe: PARTY@HOST:PORT; the model is a name then
    #[arg(long, conflicts_with = "local")]
    server: Option<String>,
    /// The directory with this member's keys and roster, for --server
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Threads that compute on ciphertexts; 0 for all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Rows like those that are asked about, npy, by which --protocol tfhe makes an integer program of an ONNX model
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    work: Work,
    /// Where to write the outputs, in the order of the model's: one a file as npy, all by name as npz
    #[arg(long, required = true)]
    output: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Runs the model, writes its outputs, and says what it cost.
///
/// # Errors
/// One sentence: the file that is not taken, the node that is not supported or that overflows.
pub fn infer(args: &Args) -> Result<()> {
    if args.work.protocol == Protocol::Tfhe {
        return on_ciphertexts(args);
    }
    ensure!(
        args.local,
        "--server is for --protocol tfhe; a model that three parties serve is asked by `tacit ask`; to run all parties on this \
         machine, add --local"
    );
    let prepared = args.work.prepare()?;
    for note in &prepared.notes {
        eprintln!("tacit: note: {note}");
    }
    let files = plan(&args.output, &prepared.outputs)?;
    let Prepared { graph, given, .. } = &prepared;
    let (protocol, settings) = (args.work.protocol, args.work.settings());
    let expected = match protocol {
        Protocol::Rep3 | Protocol::Rep3Malicious => {
            Some(forecast::on_this_machine(protocol, graph, given, settings)?)
        }
        _ => None,
    };
    if let Some(expected) = &expected {
        println!("{}", forecast_line(expected));
    }
    usage::forget_peak_memory();
    let cost = run(protocol, graph, given, settings, None)?;
    let peak_memory_bytes = usage::peak_memory_bytes();
    let outputs = finished(&prepared.outputs, &cost.outputs)?;
    let max_abs_error = match protocol {
        Protocol::Plain => 0.0,
        _ => error(&prepared, &outputs, args.work.fraction_bits)?,
    };
    for (path, content) in files {
        let bytes = content.render(&prepared.outputs, &outputs)?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    println!("{}", summary(&cost, max_abs_error));
    if args.json {
        let report = json!({
            "protocol": protocol.to_string(),
            "seconds": cost.seconds,
            "cpu_seconds": cost.cpu_seconds,
            "rounds": cost.rounds,
            "bytes": cost.bytes,
            "offline_rounds": cost.offline_rounds,
            "offline_bytes": cost.offline_bytes,
            "peak_memory_bytes": peak_memory_bytes,
            "forecast": expected,
            "max_abs_error": max_abs_error,
            "outputs": args.output,
        });
        println!("{report}");
    }
    Ok(())
}

/// Asks a server, or is client and server at once.
#[cfg(feature = "tfhe")]
fn on_ciphertexts(args: &Args) -> Result<()> {
    let asked = crate::encrypted::infer::Asked {
        model: args.work.model(),
        data: args.data.as_deref(),
        input: args.work.input(),
        output: &args.output,
        directory: &args.dir,
        threads: args.threads,
        json: args.json,
    };
    match &args.server {
        Some(server) => crate::encrypted::infer::remote(&asked, server),
        None => {
            ensure!(
                args.local,
                "say where: --local, or --server PARTY@HOST:PORT"
            );
            crate::encrypted::infer::local(&asked)
        }
    }
}

#[cfg(not(feature = "tfhe"))]
fn on_ciphertexts(args: &Args) -> Result<()> {
    args.work.protocol.available()
}

/// For people, before the run.
fn forecast_line(expected: &Expected) -> String {
    format!(
        "forecast: {:.3} s ({:.3} s of processor time), {} rounds, {}",
        expected.seconds,
        expected.cpu_seconds,
        expected.rounds,
        text::bytes(expected.bytes)
    )
}

/// For people.
fn summary(cost: &Run, max_abs_error: f64) -> String {
    let sent = match cost.bytes {
        0 => String::new(),
        bytes => format!(", {} rounds, {}", cost.rounds, text::bytes(bytes)),
    };
    let before = match cost.offline_bytes {
        0 => String::new(),
        bytes => format!(" (and {} for correlations)", text::bytes(bytes)),
    };
    format!(
        "{:.3} s ({:.3} s of processor time){sent}{before}; largest distance from plaintext {max_abs_error:.2e}",
        cost.seconds, cost.cpu_seconds
    )
}

/// The largest distance of an output from that of the same model in plaintext.
fn error(prepared: &Prepared, outputs: &[Constant], fraction_bits: u32) -> Result<f64> {
    let Prepared { graph, given, .. } = prepared;
    let plain = run(Protocol::Plain, graph, given, fraction_bits, None)?;
    let plain = finished(&prepared.outputs, &plain.outputs)?;
    let errors = outputs.iter().zip(&plain).map(|(got, want)| {
        match (got.numbers(), want.numbers()) {
            (Some(got), Some(want)) => distance(&got, &want),
            // Words are right or wrong.
            _ => f64::from(u8::from(got != want)),
        }
    });
    Ok(errors.fold(0.0, f64::max))
}

/// What goes into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// The output of this index.
    One(usize),
    /// All outputs by name.
    All,
}

/// What goes where, checked before anything is computed.
fn plan(paths: &[PathBuf], outputs: &[Output]) -> Result<Vec<(PathBuf, Content)>> {
    ensure!(
        paths.len() <= outputs.len(),
        "the model has {} outputs ({}), {} files were named",
        outputs.len(),
        outputs
            .iter()
            .map(|o| &o.name[..])
            .collect::<Vec<_>>()
            .join(", "),
        paths.len()
    );
    let mut plan = Vec::new();
    for (k, path) in paths.iter().enumerate() {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        ensure!(
            folder.is_none_or(|folder| folder.is_dir()),
            "cannot write {}: there is no such folder",
            path.display()
        );
        let content = if npy::names_archive(path) {
            Content::All
        } else {
            Content::One(k)
        };
        plan.push((path.clone(), content));
    }
    Ok(plan)
}

impl Content {
    /// The bytes of the file.
    fn render(self, ports: &[Output], outputs: &[Constant]) -> Result<Vec<u8>> {
        let bytes = match self {
            Self::One(k) => {
                let output = outputs.get(k).context("an output was not computed")?;
                npy::encode(output, stored(output))
            }
            Self::All => {
                let all = ports.iter().zip(outputs);
                let all = all.map(|(port, output)| (&port.name[..], output, stored(output)));
                npy::pack(&all.collect::<Vec<_>>())
            }
        };
        bytes.context("cannot store an output")
    }
}

/// How an output is stored: in the model's type of elements.
fn stored(output: &Constant) -> Dtype {
    match output {
        Constant::Float(_) => Dtype::new(Kind::Float, 4),
        Constant::Int(_) => Dtype::new(Kind::Signed, 8),
        Constant::Bool(_) => Dtype::new(Kind::Bool, 1),
        Constant::Text(words) => {
            let longest = words.iter().map(|word| word.chars().count()).max();
            Dtype::new(Kind::Text, 4 * longest.unwrap_or(0).max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;
    use tacit_nn::onnx::{Element, Value};

    use super::*;

    #[test]
    fn outputs_go_where_they_are_wanted() {
        let output = |name: &str, value: Constant| Output {
            name: name.into(),
            element: Element::Int,
            shape: vec![1],
            value: Value::Known(value),
            words: None,
        };
        let label = Constant::Text(arr1(&["cat".to_owned()]).into_dyn());
        let score = Constant::Float(arr1(&[0.5]).into_dyn());
        let ports = [
            output("label", label.clone()),
            output("score", score.clone()),
        ];
        let outputs = finished(&ports, &[]).unwrap();
        assert_eq!(outputs, [label, score]);

        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let planned = plan(&paths(&["a.npy", "all.npz"]), &ports).unwrap();
        assert_eq!(planned[0].1, Content::One(0));
        assert_eq!(planned[1].1, Content::All);
        let all = planned[1].1.render(&ports, &outputs).unwrap();
        let names: Vec<_> = npy::read(&all).unwrap().into_iter().collect();
        assert_eq!(names[1], (Some("score".into()), outputs[1].clone()));
        assert!(plan(&paths(&["a.npy", "b.npy", "c.npy"]), &ports).is_err());
        assert!(plan(&paths(&["no/such/folder/a.npy"]), &ports).is_err());
    }
}
