//! `tacit quantize` and `tacit check --protocol tfhe`: from ONNX models to integer programs.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tacit_fhe::program::Program;
use tacit_fhe::quantize::{Cost, Quantized, Request, Source, Target, Trial};

use super::rows;
use crate::local::parsed;

/// What `tacit quantize` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The model, an ONNX file
    model: PathBuf,
    /// Rows such as clients will ask about, npy: some hundred; one half is fitted to, the other judges
    #[arg(long)]
    data: PathBuf,
    /// Where to write the integer program
    #[arg(short, long)]
    output: PathBuf,
    /// The class of each row, npy
    #[arg(long)]
    labels: Option<PathBuf>,
    /// The share of rows on which the program is to say the class that the model says
    #[arg(long, default_value_t = AGREEMENT, conflicts_with = "accuracy")]
    agreement: f64,
    /// The share of rows on which the program is to say the class of --labels
    #[arg(long, requires = "labels")]
    accuracy: Option<f64>,
    /// Let the program say the class alone, and no score
    #[arg(long)]
    class: bool,
    /// What the program is called; the name of the model's file where nothing is said
    #[arg(long)]
    name: Option<String>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What is asked of a program where nothing is said.
const AGREEMENT: f64 = 0.99;

/// Makes a program, writes it, and says what was tried.
///
/// # Errors
/// One sentence: the file that is not taken, the node that ciphertexts cannot do, the target that is not reached.
pub fn quantize(args: &Args) -> Result<()> {
    let target = args
        .accuracy
        .map_or(Target::Agreement(args.agreement), Target::Accuracy);
    let (Target::Agreement(least) | Target::Accuracy(least)) = target;
    ensure!(
        (0.0..=1.0).contains(&least),
        "a share of rows is from 0 to 1, and {least} is not"
    );
    let folder = args.output.parent().filter(|f| !f.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "cannot write {}: there is no such folder",
        args.output.display()
    );
    let labels = args.labels.as_deref().map(labels).transpose()?;
    let name = args.name.clone().or_else(|| {
        let stem = args.model.file_stem()?;
        Some(stem.to_string_lossy().into_owned())
    });
    let (_, made) = made(
        (&args.model, &args.data),
        labels.as_deref(),
        target,
        (&name.unwrap_or_default(), args.class),
    )?;
    print(&made);
    let shown = args.output.display();
    let mut bytes = Vec::new();
    made.program.write(&mut bytes)?;
    std::fs::write(&args.output, bytes).with_context(|| format!("cannot write {shown}"))?;
    println!("{shown}");
    if args.json {
        println!("{}", report(&made));
    }
    Ok(())
}

/// Reads a model and a sample, and makes a program.
fn made(
    (model, data): (&Path, &Path),
    labels: Option<&[usize]>,
    target: Target,
    (name, class): (&str, bool),
) -> Result<(Source, Quantized)> {
    let shown = model.display();
    let parsed = parsed(model)?;
    let (sample, shape) = rows::shaped(data)?;
    let source = Source::new(&parsed, &shape).with_context(|| format!("{shown}"))?;
    for note in &source.notes {
        eprintln!("tacit: note: {note}");
    }
    let request = Request {
        sample: &sample,
        labels,
        target,
        name,
        class,
    };
    let quantized = source.quantize(&request);
    let quantized = quantized.with_context(|| format!("{shown}, by {}", data.display()))?;
    Ok((source, quantized))
}

/// Whether a file holds an integer program; else it may hold a model.
///
/// # Errors
/// If it cannot be read.
pub fn is_program(file: &Path) -> Result<bool> {
    let shown = file.display();
    let file = std::fs::File::open(file).with_context(|| format!("cannot read {shown}"))?;
    let mut start = Vec::new();
    file.take(START.len() as u64)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read {shown}"))?;
    Ok(start == START)
}

/// What files of integer programs begin with, whatever their version.
const START: &[u8] = b"tacit integer program ";

/// A program of a model, for this once.
///
/// # Errors
/// As [`quantize`].
pub fn on_the_fly(model: &Path, sample: Option<&Path>) -> Result<Program> {
    let sample = sample.context(
        "an ONNX model becomes an integer program by rows like those that are asked about: name a file by --data",
    )?;
    let (_, made) = made(
        (model, sample),
        None,
        Target::Agreement(AGREEMENT),
        ("", false),
    )?;
    let nearness = made.trial.nearness;
    println!(
        "{} became an integer program by {} ({}), which says what the model says on {:.1} % of the {} rows that judged, and is \
         off by {:.3e} at most there; `tacit quantize` keeps such a program, and takes other targets",
        model.display(),
        sample.display(),
        made.trial.plan,
        100.0 * nearness.agreement,
        made.judged,
        nearness.max_error
    );
    Ok(made.program)
}

/// Says what a model costs on ciphertexts, or which node they cannot do.
///
/// # Errors
/// As [`quantize`]; a program that no parameter set is good enough for.
pub fn check(model: &Path, sample: Option<&Path>, json: bool) -> Result<()> {
    let (program, details) = if is_program(model)? {
        (rows::program(model)?, None)
    } else {
        let sample = sample.context(
            "what a model costs on ciphertexts depends on the numbers in it: name a file of rows by --data",
        )?;
        let (source, made) = made(
            (model, sample),
            None,
            Target::Agreement(AGREEMENT),
            ("", false),
        )?;
        println!("{:48}  {:>8}  {:>8}", "node", "sums", "looked up");
        for (node, sums, looked_up) in source.nodes() {
            println!("{node:48}  {sums:>8}  {looked_up:>8}");
        }
        print(&made);
        let details = report(&made);
        (made.program, Some(details))
    };
    let cost = Cost::of(&program)
        .context("the program goes wrong too often on every parameter set there is")?;
    println!(
        "{} bootstraps with {}, about {:.2} s of one core; wrong with probability 2^{:.0}",
        cost.bootstraps,
        cost.params.name(),
        cost.seconds(),
        cost.log2_p_fail
    );
    if json {
        let report = json!({
            "protocol": "tfhe",
            "ok": true,
            "bootstraps": cost.bootstraps,
            "parameters": cost.params.name(),
            "cpu_seconds": cost.seconds(),
            "log2_p_fail": cost.log2_p_fail,
            "quantized": details,
        });
        println!("{report}");
    }
    Ok(())
}

/// The classes in a file.
fn labels(path: &Path) -> Result<Vec<usize>> {
    let (shown, numbers) = (path.display(), rows::numbers(path)?);
    let class = |&x: &f64| {
        let class = x.round();
        ensure!(
            class == x && (0.0..1e9).contains(&class),
            "{shown} holds {x}, which is no class: they are counted from 0"
        );
        Ok(class as usize)
    };
    numbers.iter().map(class).collect()
}

/// What was tried, and what was taken.
fn print(made: &Quantized) {
    println!(
        "fitted to {} rows, judged on {} others\n{:>9}  {:>8}  {:>10}  {:>9}  {:>8}  widths",
        made.fitted, made.judged, "agreement", "accuracy", "bootstraps", "core s", "log2 p"
    );
    let line = |trial: &Trial| {
        let accuracy = trial.nearness.accuracy;
        let cells = trial.cost.map(|cost| {
            [
                cost.bootstraps.to_string(),
                format!("{:.2}", cost.seconds()),
                format!("{:.0}", cost.log2_p_fail),
            ]
        });
        let [bootstraps, seconds, p] = cells.unwrap_or_else(|| [(); 3].map(|()| "-".to_owned()));
        println!(
            "{:>7.2} %  {:>8}  {bootstraps:>10}  {seconds:>9}  {p:>8}  {}",
            100.0 * trial.nearness.agreement,
            accuracy.map_or_else(|| "-".to_owned(), |a| format!("{:.2} %", 100.0 * a)),
            trial.plan
        );
    };
    made.tried.iter().for_each(line);
    println!("taken:");
    line(&made.trial);
    println!(
        "results are off by {:.3e} at most on the rows that judged",
        made.trial.nearness.max_error
    );
}

/// The same for programs.
fn report(made: &Quantized) -> serde_json::Value {
    let trial = |trial: &Trial| {
        json!({
            "widths": trial.plan.to_string(),
            "agreement": trial.nearness.agreement,
            "accuracy": trial.nearness.accuracy,
            "model_accuracy": trial.nearness.model_accuracy,
            "max_abs_error": trial.nearness.max_error,
            "bootstraps": trial.cost.map(|cost| cost.bootstraps),
            "parameters": trial.cost.map(|cost| cost.params.name()),
            "cpu_seconds": trial.cost.map(|cost| cost.seconds()),
            "log2_p_fail": trial.cost.map(|cost| cost.log2_p_fail),
        })
    };
    json!({
        "fitted_rows": made.fitted,
        "judged_rows": made.judged,
        "taken": trial(&made.trial),
        "tried": made.tried.iter().map(trial).collect::<Vec<_>>(),
    })
}
