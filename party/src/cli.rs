//! The command line of the party.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tacit_api::chain::chain;

use crate::config::{CONFIG_FILE, Config};
use crate::{serve, serve_and_lie_once, setup};

/// An institution's party: holds its data and computes with others on shares of it.
#[derive(Parser)]
#[command(name = "party", version)]
struct Args {
    /// The directory with configuration, keys and roster.
    #[arg(long, global = true, default_value = ".")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make keys, a request to be admitted and a configuration.
    Init {
        /// The party's name in the consortium.
        #[arg(long)]
        name: String,
        /// The host:port at which other parties reach this one.
        #[arg(long)]
        address: String,
        /// The address to listen on.
        #[arg(long, default_value = "0.0.0.0:7001")]
        listen: String,
    },
    /// Serve until interrupted.
    Serve,
    /// For a demonstration on one machine: serve, and change one bit of what is sent in each job.
    #[command(hide = true)]
    ServeAndLieOnce,
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
            eprintln!("party: {}", chain(error.as_ref()));
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
            let request = setup::init(&dir, &name, &address, &listen)?;
            println!(
                "Made keys and {CONFIG_FILE} for {name} in {}.",
                dir.display()
            );
            println!("Send {} to the coordinator's operator,", request.display());
            println!(
                "put the roster that comes back beside it, and name data sets and policy in {CONFIG_FILE}."
            );
            Ok(())
        }
        Command::Serve => serve_until_interrupted(Config::load(&dir.join(CONFIG_FILE))?, false),
        Command::ServeAndLieOnce => {
            serve_until_interrupted(Config::load(&dir.join(CONFIG_FILE))?, true)
        }
    }
}

fn serve_until_interrupted(config: Config, lies: bool) -> Result<()> {
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
        if lies {
            serve_and_lie_once(config, stopped).await?;
        } else {
            serve(config, stopped).await?;
        }
        Ok(())
    })
}
