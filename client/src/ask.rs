//! `tacit ask`: a question to a model that three parties serve, and `tacit skeleton`: what such parties get of a model whose
//! weights they must not know.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayD, Axis};
use serde_json::json;
use tacit_api::job::{JobSpec, Protocol};
use tacit_api::proto::JobHead;
use tacit_api::sign::{head_id, verify_head};
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
    let job = signed(&member, &args.job, &connection.head(&args.job).await?)?;
    let session = SessionId::service(&args.job);
    let (start, outputs) = (Instant::now(), args.output.clone());
    let (names, answers) =
        tokio::task::spawn_blocking(move || question(member, session, &job, &inputs)).await??;
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

/// The job of this identifier, as its submitter signed it: who computes is known from nobody else. A coordinator that could name
/// the three would name one party three times, and have the question in clear.
fn signed(member: &Member, id: &str, head: &JobHead) -> Result<JobSpec> {
    ensure!(
        head_id(head) == id,
        "the coordinator sent another job ({})",
        head_id(head)
    );
    let job = verify_head(head, &member.roster)?;
    ensure!(
        job.service.is_some(),
        "{} serves no model: it trains one",
        job.name
    );
    Ok(job)
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
    job: &JobSpec,
    inputs: &[ArrayD<f64>],
) -> Result<(Vec<String>, Vec<ArrayD<f64>>)> {
    let parties = &job.compute;
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
    ensure!(
        asker.greeting().copies == (job.protocol.name == Protocol::Rep3Malicious),
        "the parties answer by another protocol than {}, which the job names",
        job.protocol.name
    );
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

#[cfg(test)]
mod tests {
    use tacit_api::sign::{job_head, job_id, sign_job};

    use super::*;
    use crate::fixture::consortium;

    /// A coordinator that names one party three times, for which it has no signature, or another job's parties.
    #[test]
    fn who_computes_is_what_the_submitter_signed() {
        let c = consortium();
        let toml = r#"
name = "triage"
kind = "serve"
recipient = "analyst"
compute = ["north", "west", "south"]
[model]
onnx = "m.onnx"
[service]
clients = ["analyst"]
minutes = 5
"#;
        let sign = |toml: &str| {
            let job = sign_job(&c.analyst.identity, &c.roster, toml, Some(b"model")).unwrap();
            (job_id(&job), job_head(&job))
        };
        let (id, head) = sign(toml);
        let job = signed(&c.analyst, &id, &head).unwrap();
        assert_eq!(job.compute, ["north", "west", "south"]);
        let told = |head: &JobHead| signed(&c.analyst, &id, head).unwrap_err().to_string();
        let mut forged = head.clone();
        forged.toml = toml
            .replace("\"west\", \"south\"", "\"north\", \"north\"")
            .into();
        assert!(told(&forged).contains("another job"));
        let (_, other) = sign(&toml.replace("triage", "other"));
        assert!(told(&other).contains("another job"));
        let (id, training) = sign_training(&c);
        let error = signed(&c.analyst, &id, &training).unwrap_err();
        assert!(error.to_string().contains("serves no model"), "{error}");
    }

    fn sign_training(c: &crate::fixture::Consortium) -> (String, JobHead) {
        let toml = tacit_examples::BREAST_CANCER.jobs[0];
        let job = sign_job(&c.analyst.identity, &c.roster, toml, None).unwrap();
        (job_id(&job), job_head(&job))
    }
}
