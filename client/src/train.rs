//! `tacit train --local`: the training of a job file on this machine, by any protocol, without coordinator and keys.

mod parties;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use tacit_api::job::{JobSpec, Kind};
use tacit_nn::train::Split;
use tacit_party::data::{self, Rows};
use tacit_party::train_job::Plan;

use crate::fetch;
use crate::jobs::JobFile;
use crate::local::{Comparison, Protocol, Settings};
use crate::release::Opened;
use crate::usage::{self, Scope, cpu_seconds};

/// What `tacit train` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Train on this machine: `tacit submit` trains with the other parties
    #[arg(long, required = true)]
    local: bool,
    /// How
    #[arg(long, value_enum, default_value_t = Protocol::Rep3)]
    protocol: Protocol,
    /// Fewer bytes or fewer rounds for each comparison; as the job says, where this does not
    #[arg(long, value_enum)]
    comparison: Option<Comparison>,
    /// The job file, the same that `tacit submit` takes
    job: PathBuf,
    /// A contributor's rows; without a name the rows of everybody
    #[arg(long = "data", value_name = "[PARTY=]FILE", required = true)]
    data: Vec<String>,
    /// Where to write the model as safetensors
    #[arg(short, long, default_value = "model.safetensors")]
    output: PathBuf,
    /// Where to write it as ONNX
    #[arg(long, default_value = "model.onnx")]
    onnx: PathBuf,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What a training gave and cost.
#[derive(Clone, Debug, Default)]
struct Trained {
    tensors: Vec<(String, ndarray::ArrayD<f64>)>,
    metrics: Vec<(String, f64)>,
    losses: Vec<f64>,
    rounds: u64,
    bytes: u64,
}

/// Trains, and writes the model.
///
/// # Errors
/// Says what is wrong with the job, with a file of rows by line and column, or where numbers leave their range.
pub fn run(args: &Args) -> Result<()> {
    args.protocol.available()?;
    ensure!(
        !args.protocol.is_additive(),
        "training by {} is not there: choose --protocol rep3 or rep3-malicious",
        args.protocol
    );
    let shown = || args.job.display().to_string();
    let job = JobFile::read(&args.job)?.check().with_context(shown)?;
    ensure!(
        job.kind == Kind::Train,
        "{}: this job trains nothing",
        shown()
    );
    let plan = Plan::of(&job)?;
    let rows = contributions(&job, &args.data)?;
    let count = rows.iter().map(|(_, rows)| rows.len()).sum();
    // A session tosses a coin for the split; here the seed of the job decides, so that runs repeat.
    let coin = job.training.seed_bytes();
    let split = Split::new(job.training.test_fraction, coin, count);
    usage::forget_peak_memory();
    let (start, cpu) = (Instant::now(), cpu_seconds(Scope::Process));
    let asked = args.comparison;
    let settings = Settings {
        comparison: asked.unwrap_or_else(|| job.protocol.comparison.into()),
        ..Settings::from(job.training.fraction_bits)
    };
    let show = |epoch: usize, loss: Option<f64>| {
        let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
        println!("epoch {epoch} of {}{loss}", job.training.epochs);
    };
    let trained = parties::train(args.protocol, &plan, &rows, &split, settings, &show)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds(Scope::Process) - cpu;
    let opened = Opened {
        job,
        tensors: trained.tensors,
        metrics: trained.metrics,
        coin,
    };
    fetch::save(&opened, &args.output, Some(&args.onnx))?;
    for (name, value) in &opened.metrics {
        println!("{name} {value:.4}");
    }
    println!("{}\n{}", args.output.display(), args.onnx.display());
    if args.json {
        let metrics = opened.metrics.iter();
        let metrics: Map<String, Value> = metrics.map(|(n, v)| (n.clone(), json!(v))).collect();
        println!(
            "{}",
            json!({
                "name": opened.job.name,
                "protocol": args.protocol.to_string(),
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "rounds": trained.rounds,
                "bytes": trained.bytes,
                "peak_memory_bytes": usage::peak_memory_bytes(),
                "metrics": metrics,
                "losses": trained.losses,
                "safetensors": args.output,
                "onnx": args.onnx,
            })
        );
    }
    Ok(())
}

/// The rows of each file, and the index of the computing party that shares them.
fn contributions(job: &JobSpec, given: &[String]) -> Result<Vec<(usize, Rows)>> {
    let read = |file: &str| -> Result<Rows> {
        let mut rows = data::read(file.as_ref(), &job.data)?;
        if job.model.onnx.is_some() {
            rows.unscale(&job.data);
        }
        Ok(rows)
    };
    let named: Vec<_> = given.iter().map(|item| item.split_once('=')).collect();
    if let ([file], [None]) = (given, &named[..]) {
        return Ok(vec![(0, read(file)?)]);
    }
    let mut files = Vec::new();
    for (item, named) in given.iter().zip(named) {
        let Some((name, file)) = named else {
            bail!(
                "--data {item}: say whose rows they are, PARTY=FILE, where there are several files"
            );
        };
        ensure!(
            job.contributors.iter().any(|other| other == name),
            "--data {item}: {name} contributes nothing to this job; {} do",
            job.contributors.join(", ")
        );
        ensure!(
            files.iter().all(|(other, _)| *other != name),
            "--data {item}: {name} has a file already"
        );
        files.push((name, file));
    }
    let each = job.contributors.iter().enumerate().map(|(k, name)| {
        let found = files.iter().find(|(other, _)| other == name);
        let (_, file) = found
            .with_context(|| format!("the rows of {name} are missing: add --data {name}=FILE"))?;
        let computing = job.compute.iter().position(|other| other == name);
        Ok((computing.unwrap_or(k % 3), read(file)?))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_contributors() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rows.csv");
        std::fs::write(&file, tacit_examples::BREAST_CANCER.csv).unwrap();
        let file = file.to_str().unwrap();
        let job = JobSpec::parse(tacit_examples::BREAST_CANCER.jobs[0]).unwrap();
        let found = |given: &[String]| {
            contributions(&job, given)
                .map(|rows| rows.iter().map(|(k, r)| (*k, r.len())).collect::<Vec<_>>())
                .map_err(|e| e.to_string())
        };
        let of = |name: &str| format!("{name}={file}");
        assert_eq!(found(&[file.into()]), Ok(vec![(0, 569)]));
        let all = ["south", "north", "west"].map(of);
        assert_eq!(found(&all), Ok(vec![(0, 569), (1, 569), (2, 569)]));
        for (given, want) in [
            (
                vec![of("north"), of("west")],
                "the rows of south are missing",
            ),
            (vec![of("north"), of("north")], "north has a file already"),
            (vec![of("east"), of("west")], "east contributes nothing"),
            (vec![file.to_string(), of("west")], "say whose rows"),
        ] {
            let error = found(&given).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    /// The same job by all protocols: what is learned is the same, and the model is written in both formats.
    #[test]
    fn all_protocols_learn_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let data = tacit_examples::BREAST_CANCER;
        std::fs::write(path("rows.csv"), data.csv).unwrap();
        let toml = data.jobs[0].replace("epochs = 10", "epochs = 3\noptimizer = \"adam\"");
        assert!(toml.contains("adam"));
        let toml = toml
            .replace("momentum = 0.9\n", "")
            .replace("learning_rate = 0.1\n", "learning_rate = 0.02\n");
        std::fs::write(path("job.toml"), toml).unwrap();
        let job = JobFile::read(&path("job.toml")).unwrap().check().unwrap();
        let plan = Plan::of(&job).unwrap();
        let given = path("rows.csv").to_str().unwrap().to_owned();
        let rows = contributions(&job, std::slice::from_ref(&given)).unwrap();
        let split = Split::new(job.training.test_fraction, [1; 32], 569);
        let protocols = [
            Protocol::Plain,
            Protocol::Ring,
            Protocol::Rep3,
            Protocol::Rep3Malicious,
        ];
        let results = protocols.map(|protocol| {
            parties::train(protocol, &plan, &rows, &split, 18, &|_, _| ()).unwrap()
        });
        for trained in &results {
            assert_eq!(trained.losses.len(), 3);
            assert_eq!(trained.metrics[0].0, "accuracy");
            let apart = (trained.metrics[0].1 - results[0].metrics[0].1).abs();
            assert!(
                trained.metrics[0].1 > 0.9 && apart < 0.01,
                "{:?}",
                trained.metrics
            );
            assert!((trained.losses[2] - results[0].losses[2]).abs() < 0.01);
        }
        assert!(results[2].rounds > 0 && results[2].bytes > 0 && results[1].bytes == 0);
        assert!(results[3].bytes > results[2].bytes);

        let args = Args {
            local: true,
            protocol: Protocol::Ring,
            comparison: None,
            job: path("job.toml"),
            data: vec![given],
            output: path("m.safetensors"),
            onnx: path("m.onnx"),
            json: true,
        };
        run(&args).unwrap();
        for file in ["m.safetensors", "m.onnx"] {
            assert!(path(file).metadata().unwrap().len() > 100);
        }
        let missing = Args {
            job: path("no.toml"),
            ..args
        };
        assert!(run(&missing).unwrap_err().to_string().contains("no.toml"));
    }
}
