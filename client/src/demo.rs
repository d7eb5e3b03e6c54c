//! `tacit demo`: a consortium on this machine, from its founding to the models, and what it was worth.

mod baseline;
mod cheat;
mod consortium;
mod report;
mod split;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::json;
use tacit_api::job::JobSpec;
use tacit_examples::{BREAST_CANCER, DIGITS, Dataset};
use tempfile::TempDir;

use crate::connection::Connection;
use crate::home::{Home, Member};
use crate::local::Protocol;
use crate::watch::{Display, Summary, follow};
use crate::{fetch, jobs, release};

use baseline::{Pooled, Score};
use consortium::Consortium;
use report::Outcome;
use split::Skew;

/// What `tacit demo` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The rows that the institutions share
    #[arg(long, default_value = "breast-cancer")]
    dataset: Choice,
    /// By which protocol they train: rep3 or rep3-malicious
    #[arg(long, value_enum, default_value_t = Protocol::Rep3)]
    protocol: Protocol,
    /// The party of this index (0, 1 or 2) lies once, to show what becomes of it; with --protocol rep3-malicious
    #[arg(long, value_name = "PARTY", value_parser = clap::value_parser!(u8).range(0..3))]
    cheat: Option<u8>,
    /// Keep everything, keys and logs included, in this directory, which must be new or empty
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// 569 rows, 30 measurements of cell nuclei, malignant or benign
    BreastCancer,
    /// 1797 rows, 64 pixels, ten digits
    Digits,
}

impl Choice {
    fn dataset(self) -> Dataset {
        match self {
            Self::BreastCancer => BREAST_CANCER,
            Self::Digits => DIGITS,
        }
    }

    /// What makes the institutions differ: the size of the cells, or which digits people write.
    fn skew(self) -> Skew {
        match self {
            Self::BreastCancer => Skew {
                column: "mean_radius",
                weight: 0.8,
            },
            Self::Digits => Skew {
                column: "digit",
                weight: 0.55,
            },
        }
    }
}

/// Runs the demo. Whatever happens, no process and no key of it is left behind, unless `--keep` says otherwise.
pub async fn run(args: &Args) -> Result<()> {
    tokio::select! {
        done = play(args) => done,
        stopped = interrupted() => {
            stopped?;
            bail!("interrupted")
        }
    }
}

async fn play(args: &Args) -> Result<()> {
    let start = Instant::now();
    ensure!(
        matches!(args.protocol, Protocol::Rep3 | Protocol::Rep3Malicious),
        "the demo does not train by {}: choose --protocol rep3 or rep3-malicious",
        args.protocol
    );
    ensure!(
        args.cheat.is_none() || args.protocol == Protocol::Rep3Malicious,
        "by {} nobody notices a cheater: add --protocol rep3-malicious",
        args.protocol
    );
    let liar = args.cheat.map(usize::from);
    let stage = Stage::new(args.keep.as_deref())?;
    let data = args.dataset.dataset();
    let rows = split::split(&data, args.dataset.skew())?;
    let consortium =
        Consortium::found(stage.path(), data.name, data.jobs[0], data.header(), &rows)?;
    println!(
        "Three institutions with {}, {} and {} rows of {},\na coordinator, and an analyst who will receive the models.\n",
        rows[0].len(),
        rows[1].len(),
        rows[2].len(),
        data.name
    );
    let processes = consortium.start(liar).await?;
    let home = consortium.home();
    let member = home.open()?;
    let mut connection = Connection::open(&member).await?;
    let models = stage.models()?;
    let mut outcomes = Vec::new();
    for toml in data.jobs {
        let toml = &format!("protocol = \"{}\"\n{toml}", args.protocol);
        let job = JobSpec::parse(toml)?;
        if let Some(liar) = liar {
            let exposed = cheat::expose(&home, &member, &mut connection, toml, liar).await?;
            drop(processes);
            println!("\n{exposed}");
            if args.json {
                let seconds = start.elapsed().as_secs_f64();
                println!("{}", exposed.to_json(seconds));
            }
            return Ok(());
        }
        let files = ["safetensors", "onnx"].map(|kind| models.join(&job.name).with_extension(kind));
        let (summary, private, coin) = train(&home, &member, &mut connection, toml, &files).await?;
        let rows = consortium::PARTIES.map(|party| consortium.rows(party));
        // On a thread of its own, so that an interrupt is heard meanwhile.
        let compared = tokio::task::spawn_blocking(move || {
            let pooled = Pooled::read(&job, &rows, coin)?;
            compare(&job, &pooled, private, summary, files)
        });
        outcomes.push(compared.await.context("a comparison came to no end")??);
    }
    drop(processes);
    stage.close()?;
    for outcome in &outcomes {
        println!("\n{}", outcome.table());
    }
    println!("\n{}", report::sights());
    if args.json {
        let jobs: Vec<_> = outcomes.iter().map(Outcome::to_json).collect();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{}",
            json!({
                "seconds": seconds,
                "dataset": data.name,
                "protocol": args.protocol.to_string(),
                "jobs": jobs,
            })
        );
    }
    Ok(())
}

/// Submits a job, watches it, fetches its model: what an analyst does. Also gives the coin that split the rows.
async fn train(
    home: &Home,
    member: &Member,
    connection: &mut Connection,
    toml: &str,
    files: &[PathBuf; 2],
) -> Result<(Summary, Score, [u8; 32])> {
    let id = jobs::submit(home, member, connection, &toml.into()).await?;
    let job = JobSpec::parse(toml)?;
    let mut display = Display::new(&job.name);
    let summary = follow(member, connection, &id, Some(job), &mut display).await?;
    let opened = release::open(member, &id, &connection.fetch(&id).await?)?;
    fetch::save(&opened, &files[0], Some(&files[1]))?;
    let metric = |name| {
        opened
            .metric(name)
            .with_context(|| format!("the job released no {name}"))
    };
    Ok((
        summary,
        Score {
            accuracy: metric("accuracy")?,
            auc: metric("auc")?,
        },
        opened.coin,
    ))
}

/// Trains the same in plaintext, on all rows and on those of each institution.
fn compare(
    job: &JobSpec,
    pooled: &Pooled,
    private: Score,
    summary: Summary,
    files: [PathBuf; 2],
) -> Result<Outcome> {
    let alone = (0..consortium::PARTIES.len()).map(|institution| pooled.alone(institution));
    Ok(Outcome {
        name: job.name.clone(),
        private,
        recomputed: pooled.measure(&files[0])?,
        pooled: pooled.joint()?,
        alone: alone.collect::<Result<_>>()?,
        totals: summary.totals,
        files,
    })
}

/// Where everything happens.
enum Stage {
    /// A directory of the user's, which stays as it is in the end.
    Kept(PathBuf),
    /// A directory that goes, with all keys in it, and one for the models, which stays if all goes well.
    Passing {
        everything: TempDir,
        models: TempDir,
    },
}

impl Stage {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let Some(directory) = keep else {
            let make = |prefix| tempfile::Builder::new().prefix(prefix).tempdir();
            return Ok(Self::Passing {
                everything: make("tacit-demo-").context("cannot make a temporary directory")?,
                models: make("tacit-models-").context("cannot make a temporary directory")?,
            });
        };
        let shown = || directory.display().to_string();
        std::fs::create_dir_all(directory).with_context(shown)?;
        let empty = std::fs::read_dir(directory)
            .with_context(shown)?
            .next()
            .is_none();
        ensure!(
            empty,
            "{} is not empty: name a new directory",
            directory.display()
        );
        Ok(Self::Kept(directory.canonicalize().with_context(shown)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(directory) => directory,
            Self::Passing { everything, .. } => everything.path(),
        }
    }

    /// The directory of the models, which exists.
    fn models(&self) -> Result<PathBuf> {
        match self {
            Self::Kept(directory) => {
                let models = directory.join("models");
                std::fs::create_dir_all(&models).with_context(|| models.display().to_string())?;
                Ok(models)
            }
            Self::Passing { models, .. } => Ok(models.path().to_owned()),
        }
    }

    /// All went well: removes what is not to be kept.
    fn close(self) -> Result<()> {
        if let Self::Passing { everything, models } = self {
            let _kept = models.keep();
            everything
                .close()
                .context("cannot remove the temporary directory")?;
        }
        Ok(())
    }
}

/// Waits for Ctrl-C or a request to terminate.
async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = tokio::signal::ctrl_c() => done?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    // One moment for the children, which Ctrl-C on a terminal reaches as well, to say their last word into their logs.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
