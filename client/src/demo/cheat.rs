//! `tacit demo --cheat`: one party lies, and what the others make of it.

use std::fmt;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tacit_api::job::JobSpec;

use super::consortium::PARTIES;
use crate::connection::Connection;
use crate::home::{Home, Member};
use crate::jobs;
use crate::watch::{Display, End, Unfinished, follow};

/// An aborted job: who lied, and what the watcher was told.
pub(super) struct Exposed {
    liar: &'static str,
    end: End,
}

/// Submits a job in which party `liar` lies, and watches it to its abort.
///
/// # Errors
/// The lie was not noticed, or something was released in spite of it.
pub(super) async fn expose(
    home: &Home,
    member: &Member,
    connection: &mut Connection,
    toml: &str,
    liar: usize,
) -> Result<Exposed> {
    let liar = PARTIES[liar % PARTIES.len()];
    let id = jobs::submit(home, member, connection, &toml.into()).await?;
    let job = JobSpec::parse(toml)?;
    let mut display = Display::new(&job.name);
    let followed = follow(member, connection, &id, Some(job), &mut display).await;
    let Err(error) = followed else {
        bail!("{liar} lied, and the job came to its end");
    };
    let end = match error.downcast::<Unfinished>() {
        Ok(Unfinished(end)) if !end.cheating.is_empty() => end,
        Ok(unfinished) => bail!("{liar} lied, and the job ended otherwise: {unfinished}"),
        Err(error) => return Err(error),
    };
    ensure!(
        connection.fetch(&id).await.is_err(),
        "{liar} lied, and there is a result"
    );
    Ok(Exposed { liar, end })
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} changed one bit of what it sent, as --cheat asked. The job was aborted, and there is no result.",
            self.liar
        )?;
        for found in &self.end.cheating {
            writeln!(
                f,
                "  {} found: {} does not hold; it suspects {}",
                found.reporter,
                found.what,
                found.suspects.join(" or ")
            )?;
        }
        match &self.end.suspects()[..] {
            [] => write!(f, "  what they say does not fit one cheater"),
            [one] => write!(f, "  all others suspect {one}"),
            several => write!(
                f,
                "  it may have been {}: what they found does not tell which",
                several.join(" or ")
            ),
        }
    }
}

impl Exposed {
    /// For programs.
    pub(super) fn to_json(&self, seconds: f64) -> Value {
        let found = self.end.cheating.iter().map(|found| {
            json!({ "reporter": found.reporter, "what": found.what, "suspects": found.suspects })
        });
        json!({
            "seconds": seconds,
            "cheater": self.liar,
            "aborted": true,
            "found": found.collect::<Vec<_>>(),
            "suspects": self.end.suspects(),
        })
    }
}
