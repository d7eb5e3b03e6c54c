//! `tacit ask`: a question to a model that three parties serve, and `tacit skeleton`: what such parties get of a model whose
//! weights they must not know.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayD, Axis};
use serde_json::json;
use tacit_nn::onnx::{Constant, Model, Readable};
use tacit_party::net::{Connector, Deadlines, Peer, Registry, SessionId};
use tacit_party::serve::ask::Asker;

use crate::connection::Connection;
use crate::home::{Home, Member};
use crate::npy::{self, Dtype, Kind};

/// What `tacit ask` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The directory with this member's keys and roster
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The identifier of the job that serves the model
    job: String,
    /// The inputs, npy or npz, in the order of the model's; the first axis counts rows
    #[arg(long, required = true)]
    input: Vec<PathBuf>,
    /// Where to write the outputs, in the order of the model's: one a file as npy
    #[arg(long, required = true)]
    output: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// How long parties may take to answer a call, or a question: longer than they keep a question that waits.
const PATIENCE: Duration = Duration::from_secs(150);

/// Questions on their way at a time: fewer than a service takes of one client.
const AHEAD: usize = 8;

/// Asks, and writes the answers.
///
/// # Errors
/// One sentence: the file that is not taken, the party that cannot be reached or refuses.
pub async fn ask(args: &Args) -> Result<()> {
    let inputs = read(&args.input)?;
    let member = Home::new(&args.dir).open()?;
    let mut connection = Connection::open(&member).await?;
    let jobs = connection.jobs().await?;
    let job = jobs.iter().find(|job| job.id == args.job);
    let job = job.with_context(|| format!("the coordinator knows no job {}", args.job))?;
    let parties = job
        .parties
        .get(..3)
        .context("the job has no three parties")?
        .to_vec();
    let session = SessionId::service(&args.job);
    let (start, outputs) = (Instant::now(), args.output.clone());
    let (names, answers) =
        tokio::task::spawn_blocking(move || question(member, session, &parties, &inputs)).await??;
    ensure!(
        outputs.len() <= answers.len(),
        "the model has {} outputs ({}), {} files were named",
        answers.len(),
        names.join(", "),
        outputs.len()
    );
    let seconds = start.elapsed().as_secs_f64();
    for (path, answer) in outputs.iter().zip(answers) {
        let bytes = npy::encode(&Constant::Float(answer), Dtype::new(Kind::Float, 4))?;
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    if args.json {
        println!("{}", json!({ "seconds": seconds, "outputs": outputs }));
    }
    Ok(())
}

/// All arrays of the files.
fn read(files: &[PathBuf]) -> Result<Vec<ArrayD<f64>>> {
    let mut arrays = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let found = npy::read(&bytes).with_context(|| path.display().to_string())?;
        for (_, array) in found {
            let numbers = array.numbers();
            arrays
                .push(numbers.with_context(|| format!("{}: it holds no numbers", path.display()))?);
        }
    }
    Ok(arrays)
}

/// Shares the rows in as many questions as it takes; the names of the outputs, and the outputs.
fn question(
    member: Member,
    session: SessionId,
    parties: &[String],
    inputs: &[ArrayD<f64>],
) -> Result<(Vec<String>, Vec<ArrayD<f64>>)> {
    let mut peers = Vec::with_capacity(3);
    for (index, name) in parties.iter().enumerate() {
        peers.push(Peer::new(index, member.roster.member(name)?));
    }
    let peers: [Peer; 3] = peers
        .try_into()
        .map_err(|_| anyhow::anyhow!("a service has three parties"))?;
    let connector = Connector {
        identity: Arc::new(member.identity),
        roster: Arc::new(member.roster),
        registry: Arc::new(Registry::default()),
        deadlines: Deadlines {
            connect: PATIENCE,
            exchange: PATIENCE,
        },
    };
    let mut asker = Asker::connect(&connector, session, &peers).map_err(|e| named(&e, parties))?;
    let most = asker.greeting().max_rows;
    let rows = inputs
        .first()
        .and_then(|x| x.shape().first().copied())
        .unwrap_or(0);
    let cut = |x: &ArrayD<f64>, start: usize| {
        let end = (start + most).min(x.shape().first().copied().unwrap_or(0));
        x.slice_axis(Axis(0), (start.min(end)..end).into())
            .to_owned()
    };
    let (mut asked, mut answers) = (VecDeque::new(), Vec::<Vec<ArrayD<f64>>>::new());
    for start in (0..rows).step_by(most.max(1)) {
        ensure!(
            inputs.iter().all(|x| x.ndim() > 0),
            "an input has no axis of rows"
        );
        if asked.len() >= AHEAD
            && let Some(number) = asked.pop_front()
        {
            answers.push(asker.answer(number).map_err(|e| named(&e, parties))?);
        }
        let part: Vec<_> = inputs.iter().map(|x| cut(x, start)).collect();
        asked.push_back(asker.ask(&part).map_err(|e| named(&e, parties))?);
    }
    ensure!(!asked.is_empty(), "the input has no rows");
    for number in asked {
        answers.push(asker.answer(number).map_err(|e| named(&e, parties))?);
    }
    let names: Vec<String> = asker
        .greeting()
        .outputs
        .iter()
        .map(|p| p.name.clone())
        .collect();
    let joined = (0..names.len()).map(|k| {
        let parts: Vec<_> = answers.iter().map(|answer| answer[k].view()).collect();
        ndarray::concatenate(Axis(0), &parts).context("the answers do not fit together")
    });
    let joined = joined.collect::<Result<_>>()?;
    Ok((names, joined))
}

/// The error with parties by their names.
fn named(error: &impl std::fmt::Display, parties: &[String]) -> anyhow::Error {
    let mut text = error.to_string();
    for (index, name) in parties.iter().enumerate() {
        text = text.replace(&format!("party {index}"), name);
    }
    anyhow::anyhow!(text)
}

/// What `tacit skeleton` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct SkeletonArgs {
    /// The ONNX file
    model: PathBuf,
    /// Where to write the same file without its weights
    #[arg(short, long)]
    output: PathBuf,
}

/// Writes a model without its weights, and prints what can still be read in it.
///
/// # Errors
/// The file cannot be read or is no model.
pub fn skeleton(args: &SkeletonArgs) -> Result<()> {
    let shown = |path: &Path| path.display().to_string();
    let bytes = std::fs::read(&args.model).with_context(|| shown(&args.model))?;
    let model = Model::parse(&bytes).with_context(|| shown(&args.model))?;
    let skeleton = model.skeleton().with_context(|| shown(&args.model))?;
    std::fs::write(&args.output, &skeleton.bytes).with_context(|| shown(&args.output))?;
    println!("{}", args.output.display());
    print!("{}", readable(&skeleton.readable));
    Ok(())
}

/// What a skeleton tells, for its owner to look at before it leaves the house.
fn readable(all: &[Readable]) -> String {
    let mut text = String::new();
    for (real, title) in [(true, "real numbers"), (false, "integers and words")] {
        let lines: Vec<String> = all
            .iter()
            .filter(|r| r.real == real)
            .map(|r| format!("  {}: {}\n", r.place, r.content))
            .collect();
        if lines.is_empty() {
            text += &format!("no {title} stay readable\n");
        } else {
            text += &format!("{title} that stay readable:\n{}", lines.concat());
        }
    }
    text + "names of inputs, outputs, nodes and tensors, and all shapes stay readable\n"
}
