//! `tacit forecast`: rounds, bytes, seconds and memory of a run, before anything runs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tacit_api::job::Protocol as JobProtocol;
use tacit_mpc::net::Profile;
use tacit_nn::fixed;
use tacit_protocols::rep3::{Choice, Depth};

use super::job::Training;
use super::{Expected, Manner, Place, of, this_machine};
use crate::jobs::JobFile;
use crate::local::{Comparison, Known, Prepared, Protocol, prepare_shapes};
use crate::text;

/// What `tacit forecast` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The job file of a training
    #[arg(required_unless_present = "model", conflicts_with = "model")]
    job: Option<PathBuf>,
    /// Rows that all contributors to a training have together
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rows: Option<u32>,
    /// A model, an ONNX file
    #[arg(long)]
    model: Option<PathBuf>,
    /// The length of every axis that the model leaves open
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Inputs whose shapes, and numbers where they decide shapes, are to be taken instead
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Who knows the weights
    #[arg(long, default_value = "private")]
    weights: Known,
    /// How it is computed; several may be named. As the job says, or rep3, where none is
    #[arg(long)]
    protocol: Vec<Protocol>,
    /// What lies between the parties; several may be named
    #[arg(long)]
    net: Vec<Net>,
    /// One-way delay in milliseconds of a network of your own
    #[arg(long, requires = "bandwidth", value_name = "MS")]
    latency: Option<f64>,
    /// Its bandwidth in Mbit/s, of each link and direction
    #[arg(long, requires = "latency", value_name = "MBIT")]
    bandwidth: Option<f64>,
    /// Fractional bits of the fixed-point numbers, for a model
    #[arg(long, default_value_t = fixed::FRACTION_BITS, value_parser = clap::value_parser!(u32).range(8..=22))]
    fraction_bits: u32,
    /// Fewer bytes or fewer rounds for each comparison; by the links, as a session chooses, where this is not said
    #[arg(long, value_enum)]
    comparison: Option<Comparison>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What lies between the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Net {
    /// Nothing: threads of one process on this machine
    Mem,
    /// 10 Gbit/s, 0.2 ms round trip, a machine like this one for each party
    Lan,
    /// 100 Mbit/s, 50 ms round trip, a machine like this one for each party
    Wan,
}

/// A network by name.
struct Named {
    name: String,
    place: Place,
    simulated: bool,
}

/// One forecast, of all parties together.
#[derive(Debug, Serialize)]
struct Line {
    protocol: String,
    net: String,
    latency_ms: f64,
    megabits_per_second: f64,
    #[serde(flatten)]
    expected: Expected,
    bytes_per_party: u64,
    offline_bytes: u64,
}

/// What is forecast.
enum Subject {
    Model(Box<Prepared>),
    Training(Box<Training>),
}

/// Forecasts and prints.
///
/// # Errors
/// Says what is wrong with the model or job, or with what was asked for.
pub fn run(args: &Args) -> Result<()> {
    let subject = subject(args)?;
    if let Subject::Model(prepared) = &subject {
        for note in &prepared.notes {
            eprintln!("tacit: note: {note}");
        }
    }
    let mut lines = Vec::new();
    println!("{}", heading());
    for protocol in protocols(args, &subject) {
        protocol.available()?;
        for net in &nets(args, this_machine(protocol)?)? {
            let expected = forecast(args, &subject, protocol, net)?;
            let line = Line {
                protocol: protocol.to_string(),
                net: net.name.clone(),
                latency_ms: net.place.link.latency_ns as f64 / 1e6,
                megabits_per_second: net.place.link.bits_per_second as f64 / 1e6,
                expected,
                bytes_per_party: expected.bytes.div_ceil(3),
                offline_bytes: 0,
            };
            println!("{}", row(&line));
            lines.push(line);
        }
    }
    println!(
        "Bytes are of all parties, memory of the party that holds most, beside the program itself. Neither protocol sends anything before the inputs are known."
    );
    if args.json {
        println!("{}", serde_json::json!({ "forecasts": lines }));
    }
    Ok(())
}

fn subject(args: &Args) -> Result<Subject> {
    if let Some(model) = &args.model {
        ensure!(
            args.rows.is_none(),
            "--rows is for a job: a model takes --batch"
        );
        let batch = args.batch as usize;
        let prepared = prepare_shapes(model, &args.input, batch, args.weights)?;
        return Ok(Subject::Model(Box::new(prepared)));
    }
    let file = args.job.as_deref().context("name a job file, or --model")?;
    let shown = || file.display().to_string();
    let job = JobFile::read(file)?.check().with_context(shown)?;
    let rows = args
        .rows
        .context("say how many rows all contributors have together: --rows N")?;
    let training = Training::new(job, rows as usize).with_context(shown)?;
    Ok(Subject::Training(Box::new(training)))
}

fn protocols(args: &Args, subject: &Subject) -> Vec<Protocol> {
    match (&args.protocol[..], subject) {
        ([], Subject::Training(training)) => vec![match training.job.protocol.name {
            JobProtocol::Rep3 => Protocol::Rep3,
            JobProtocol::Rep3Malicious => Protocol::Rep3Malicious,
        }],
        ([], Subject::Model(_)) => vec![Protocol::Rep3],
        (named, _) => named.to_vec(),
    }
}

/// All networks asked for; those that are not here have a machine like this one for each party.
fn nets(args: &Args, here: Place) -> Result<Vec<Named>> {
    let away = |name: &str, link| Named {
        name: name.into(),
        place: Place {
            link,
            cores: None,
            ..here
        },
        simulated: true,
    };
    let known = |net: &Net| match net {
        Net::Mem => Named {
            name: "mem".into(),
            place: here,
            simulated: false,
        },
        Net::Lan => away("lan", Profile::LAN),
        Net::Wan => away("wan", Profile::WAN),
    };
    let mut nets: Vec<Named> = match (&args.net[..], args.latency) {
        ([], None) => [Net::Mem, Net::Lan, Net::Wan].iter().map(known).collect(),
        (named, _) => named.iter().map(known).collect(),
    };
    if let (Some(latency), Some(bandwidth)) = (args.latency, args.bandwidth) {
        let within = (0.0..=1e5).contains(&latency) && (1e-3..=1e6).contains(&bandwidth);
        if !within {
            bail!(
                "a network has a delay of 0 to 100000 ms and a bandwidth of 0.001 to 1000000 Mbit/s"
            );
        }
        let link = Profile {
            latency_ns: (latency * 1e6) as u64,
            bits_per_second: (bandwidth * 1e6) as u64,
        };
        nets.push(away("own", link));
    }
    Ok(nets)
}

fn forecast(args: &Args, subject: &Subject, protocol: Protocol, net: &Named) -> Result<Expected> {
    let by_links = match net.simulated {
        true => Choice::For(net.place.link),
        false => Depth::Three.into(),
    };
    let asked = args.comparison.map(|asked| Depth::from(asked).into());
    match subject {
        Subject::Model(prepared) => {
            let manner = Manner {
                protocol,
                fraction_bits: args.fraction_bits,
                comparison: asked.unwrap_or(by_links),
                verify_every: None,
            };
            of(manner, net.place, &(&prepared.graph, &prepared.given[..]))
        }
        Subject::Training(training) => {
            let job = &training.job;
            let by_job = match job.protocol.comparison {
                tacit_api::job::Comparison::Auto => by_links,
                asked => Depth::from(Comparison::from(asked)).into(),
            };
            let every = job.protocol.verify_every_mib;
            let manner = Manner {
                protocol,
                fraction_bits: job.training.fraction_bits,
                comparison: asked.unwrap_or(by_job),
                verify_every: every.map(|mib| usize::from(mib) << 20),
            };
            of(manner, net.place, &**training)
        }
    }
}

fn heading() -> String {
    format!(
        "{:15} {:>5} {:>10} {:>12} {:>12} {:>10} {:>12} {:>12} {:>10} {:>11}",
        "protocol",
        "net",
        "rounds",
        "bytes",
        "header B",
        "messages",
        "seconds",
        "network s",
        "cpu s",
        "memory"
    )
}

fn row(line: &Line) -> String {
    let e = &line.expected;
    format!(
        "{:15} {:>5} {:>10} {:>12} {:>12} {:>10} {:>12.6} {:>12.6} {:>10.4} {:>11}",
        line.protocol,
        line.net,
        e.rounds,
        text::bytes(e.bytes),
        text::bytes(e.header_bytes),
        e.messages,
        e.seconds,
        e.network_seconds,
        e.cpu_seconds,
        text::bytes(e.memory_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_under_their_headings() {
        let line = Line {
            protocol: "rep3-malicious".into(),
            net: "wan".into(),
            latency_ms: 25.0,
            megabits_per_second: 100.0,
            expected: Expected::default(),
            bytes_per_party: 0,
            offline_bytes: 0,
        };
        assert_eq!(heading().len(), row(&line).len());
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(json["network_seconds"], 0.0);
    }
}
