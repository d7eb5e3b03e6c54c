//! The command line of the coordinator.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tacit_api::chain::chain;
use tacit_api::roster::Roster;

use crate::config::{CONFIG_FILE, Config};
use crate::{serve, setup};

/// Schedules the jobs of a consortium. It sees no data and no share in clear.
#[derive(Parser)]
#[command(name = "coordinator", version)]
struct Args {
    /// The directory with configuration, keys, roster and database.
    #[arg(long, global = true, default_value = ".")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Found a consortium: keys, an empty roster and a configuration.
    Init {
        /// The consortium's name.
        #[arg(long)]
        name: String,
        /// The host:port at which members reach the coordinator.
        #[arg(long)]
        address: String,
        /// The address to listen on.
        #[arg(long, default_value = "0.0.0.0:7000")]
        listen: String,
    },
    /// Admit members by their request files. A running coordinator must be restarted.
    Admit {
        /// The request files of the future members.
        #[arg(required = true)]
        requests: Vec<PathBuf>,
    },
    /// Serve until interrupted.
    Serve,
}

/// Runs the command line `args`, whose first item is the program's name. Exit status: 0 done, 1 failed, 2 wrong usage.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            error.print().ok(); // there is nowhere else to complain
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match obey(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coordinator: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn obey(Args { dir, command }: Args) -> Result<()> {
    match command {
        Command::Init {
            name,
            address,
            listen,
        } => {
            let roster = setup::init(&dir, &name, &address, &listen)?;
            println!("Founded {} in {}.", roster.name(), dir.display());
            println!("Now admit members: coordinator admit REQUEST.toml");
            Ok(())
        }
        Command::Admit { requests } => {
            for request in requests {
                report(&setup::admit(&dir, &request)?);
            }
            Ok(())
        }
        Command::Serve => serve_until_interrupted(Config::load(&dir.join(CONFIG_FILE))?),
    }
}

fn report(roster: &Roster) {
    if let Some(member) = roster.members().last() {
        println!(
            "Admitted {} with certificate {}",
            member.name(),
            member.fingerprint()
        );
    }
    println!("Give every member the new roster; its fingerprint, to compare by telephone:");
    println!("  {}", roster.fingerprint());
}

fn serve_until_interrupted(config: Config) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stopped = async {
            if let Err(error) = tacit_api::stop::requested().await {
                tracing::warn!("cannot listen for signals, only killing stops it: {error}");
                std::future::pending::<()>().await;
            }
        };
        Ok(serve(config, stopped).await?)
    })
}
