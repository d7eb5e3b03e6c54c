//! The commands and their arguments.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::connection::Connection;
use crate::home::{Home, Member};
use crate::watch::{Display, follow};
use crate::{
    ask, bench, check, circuit, demo, evidence, fetch, forecast, infer, jobs, process, protocols,
    release, train,
};

/// Train neural networks together without showing each other the data.
#[derive(Parser)]
#[command(name = "tacit", version)]
struct Args {
    /// End when standard input closes: the process that started this one is gone then
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    #[command(subcommand)]
    command: Command,
}

/// Who calls.
#[derive(clap::Args)]
struct Me {
    /// The directory with this member's keys and roster
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

impl Me {
    fn home(&self) -> Home {
        Home::new(&self.dir)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Make an identity, and the request to be admitted as a client
    Init {
        #[command(flatten)]
        me: Me,
        /// The name to be admitted under
        #[arg(long)]
        name: String,
    },
    /// Train on this machine what a job file describes
    Train(train::Args),
    /// Sign a job file and put it into the coordinator's queue
    Submit {
        #[command(flatten)]
        me: Me,
        /// The job file
        job: PathBuf,
        /// Watch the job to its end
        #[arg(long)]
        watch: bool,
        /// Print one JSON object on the last line
        #[arg(long)]
        json: bool,
    },
    /// List the jobs, newest first
    Jobs {
        #[command(flatten)]
        me: Me,
        /// Print one JSON object on the last line
        #[arg(long)]
        json: bool,
    },
    /// Follow a job to its end
    Watch {
        #[command(flatten)]
        me: Me,
        /// The job's identifier
        id: String,
        /// Print one JSON object on the last line
        #[arg(long)]
        json: bool,
    },
    /// Open the result of a job that is done, as its recipient, and write the model
    Fetch {
        #[command(flatten)]
        me: Me,
        /// The job's identifier
        id: String,
        /// Where to write the model as safetensors
        #[arg(short, long)]
        output: PathBuf,
        /// Where to write it as ONNX besides
        #[arg(long)]
        onnx: Option<PathBuf>,
        /// Print one JSON object on the last line
        #[arg(long)]
        json: bool,
    },
    /// Stop a job that was submitted from here
    Cancel {
        #[command(flatten)]
        me: Me,
        /// The job's identifier
        id: String,
    },
    /// Run a whole consortium on this machine, on real data, and compare
    Demo(demo::Args),
    /// Run an ONNX model on inputs that nobody may see
    Infer(infer::Args),
    /// Run a model beside plaintext, and show the first node that departs from it
    Check(check::Args),
    /// Say who may do what by each protocol, and what it costs
    Protocols(protocols::Args),
    /// Say what a run will cost, before anything runs
    Forecast(forecast::Args),
    /// Measure what gates, networks and a training cost
    Bench(bench::Args),
    /// Run a Boolean circuit on shares, and measure it
    Circuit(circuit::Args),
    #[command(hide = true)]
    BenchParty(bench::ChildArgs),
    /// Ask a question to a model that three parties serve
    Ask(ask::Args),
    /// Make the keys of a client, for protocols that have such
    #[cfg(feature = "tfhe")]
    Keygen(crate::encrypted::keys::Args),
    /// Make an integer program of an ONNX model, for inference on ciphertexts
    #[cfg(feature = "tfhe")]
    Quantize(crate::encrypted::quantize::Args),
    /// Write a model without its weights, for parties that must not know them
    Skeleton(ask::SkeletonArgs),
    /// Check a certificate that convicts a party of misbehaviour
    Evidence(evidence::Args),
    /// The same as the program `party`
    #[command(disable_help_flag = true)]
    Party {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// The same as the program `coordinator`
    #[command(disable_help_flag = true)]
    Coordinator {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Runs the command line `args`, whose first item is the program's name. Exit status: 0 done, 1 refused or failed, 2 wrong
/// usage.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            error.print().ok(); // there is nowhere else to complain
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if args.until_stdin_closes {
        process::end_with_stdin();
    }
    let done = match args.command {
        Command::Party { args } => return tacit_party::cli::run(named("party", args)),
        Command::Coordinator { args } => {
            return tacit_coordinator::cli::run(named("coordinator", args));
        }
        Command::Init { me, name } => init(&me.home(), &name),
        Command::Train(args) => train::run(&args),
        Command::Submit {
            me,
            job,
            watch,
            json,
        } => call(submit(&me.home(), &job, watch, json)),
        Command::Jobs { me, json } => call(list(&me.home(), json)),
        Command::Watch { me, id, json } => call(watch(&me.home(), &id, json)),
        Command::Fetch {
            me,
            id,
            output,
            onnx,
            json,
        } => call(fetched(&me.home(), &id, &output, onnx.as_deref(), json)),
        Command::Cancel { me, id } => call(cancel(&me.home(), &id)),
        Command::Demo(args) => call(demo::run(&args)),
        Command::Infer(args) => infer::infer(&args),
        Command::Ask(args) => call(ask::ask(&args)),
        #[cfg(feature = "tfhe")]
        Command::Keygen(args) => crate::encrypted::keys::keygen(&args),
        #[cfg(feature = "tfhe")]
        Command::Quantize(args) => crate::encrypted::quantize::quantize(&args),
        Command::Skeleton(args) => ask::skeleton(&args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Protocols(args) => protocols::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Circuit(args) => circuit::run(&args),
        Command::BenchParty(args) => bench::run_child(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tacit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments of an embedded program, its name first.
fn named(program: &str, args: Vec<OsString>) -> impl Iterator<Item = OsString> {
    std::iter::once(OsString::from(program)).chain(args)
}

/// Waits for a command that talks to the coordinator.
fn call(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the network runtime")?;
    let done = runtime.block_on(command);
    runtime.shutdown_background(); // an interrupted demo does not wait for its comparison
    done
}

fn init(home: &Home, name: &str) -> Result<()> {
    home.init(name)?;
    println!(
        "Made the identity of {name}. {} holds its private keys: keep it to yourself.",
        home.identity().display()
    );
    println!(
        "Send {} to the coordinator's operator, and put the roster that comes back at {}.",
        home.request().display(),
        home.roster().display()
    );
    Ok(())
}

async fn open(home: &Home) -> Result<(Member, Connection)> {
    let member = home.open()?;
    let connection = Connection::open(&member).await?;
    Ok((member, connection))
}

async fn submit(home: &Home, file: &Path, watched: bool, json: bool) -> Result<()> {
    let job = jobs::JobFile::read(file)?;
    let (member, mut connection) = open(home).await?;
    let id = jobs::submit(home, &member, &mut connection, &job)
        .await
        .with_context(|| file.display().to_string())?;
    if !json {
        println!("{id}");
    }
    if watched {
        return show(home, &member, &mut connection, &id, json).await;
    }
    if json {
        println!("{}", serde_json::json!({ "id": id }));
    }
    Ok(())
}

async fn list(home: &Home, json: bool) -> Result<()> {
    let (_, mut connection) = open(home).await?;
    let jobs = connection.jobs().await?;
    if json {
        println!("{}", jobs::to_json(&jobs));
    } else {
        println!("{}", jobs::table(&jobs));
    }
    Ok(())
}

async fn watch(home: &Home, id: &str, json: bool) -> Result<()> {
    let (member, mut connection) = open(home).await?;
    show(home, &member, &mut connection, id, json).await
}

async fn show(
    home: &Home,
    member: &Member,
    connection: &mut Connection,
    id: &str,
    json: bool,
) -> Result<()> {
    let job = home.recall(id);
    let name = job.as_ref().map_or(id, |job| &job.name).to_owned();
    let summary = follow(member, connection, id, job, &mut Display::new(&name)).await?;
    if json {
        println!("{}", summary.to_json(id));
    }
    Ok(())
}

async fn fetched(
    home: &Home,
    id: &str,
    output: &Path,
    onnx: Option<&Path>,
    json: bool,
) -> Result<()> {
    let (member, mut connection) = open(home).await?;
    let opened = release::open(&member, id, &connection.fetch(id).await?)?;
    if opened.job.service.is_some() {
        for (name, count) in &opened.metrics {
            println!("{name} {count}");
        }
        anyhow::ensure!(onnx.is_none(), "a service releases no model");
        return Ok(());
    }
    fetch::save(&opened, output, onnx)?;
    for (name, value) in &opened.metrics {
        println!("{name} {value:.4}");
    }
    for file in [Some(output), onnx].into_iter().flatten() {
        println!("{}", file.display());
    }
    if json {
        println!("{}", fetch::to_json(id, &opened, output, onnx));
    }
    Ok(())
}

async fn cancel(home: &Home, id: &str) -> Result<()> {
    let (_, mut connection) = open(home).await?;
    connection.cancel(id).await
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn embedded_programs_get_their_arguments_as_they_are() {
        let args = Args::try_parse_from(["tacit", "party", "--dir", "north", "serve", "--help"]);
        let Ok(Args {
            command: Command::Party { args },
            ..
        }) = args
        else {
            panic!("not taken as the party's");
        };
        assert_eq!(args, ["--dir", "north", "serve", "--help"]);
    }
}
