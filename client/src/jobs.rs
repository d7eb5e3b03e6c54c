//! `tacit submit`, `tacit jobs` and `tacit cancel`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tacit_api::job::{JobSpec, Kind};
use tacit_api::proto::Job;
use tacit_api::sign::sign_job;
use tacit_party::train_job::Plan;

use crate::connection::Connection;
use crate::home::{Home, Member};
use crate::text;

/// A job file, and the model file that it names.
pub struct JobFile {
    /// The text.
    pub toml: String,
    /// The bytes of the model file; empty where it names none.
    pub model: Vec<u8>,
}

impl JobFile {
    /// Reads both. The path of the model file counts from the folder of the job file.
    ///
    /// # Errors
    /// Names the file that cannot be read, or the line that is wrong.
    pub fn read(file: &Path) -> Result<Self> {
        let shown = || file.display().to_string();
        let toml = std::fs::read_to_string(file).with_context(shown)?;
        let job = JobSpec::parse(&toml).with_context(shown)?;
        let model = match &job.model.onnx {
            None => Vec::new(),
            Some(path) => {
                let path = file.parent().unwrap_or_else(|| Path::new("")).join(path);
                std::fs::read(&path).with_context(|| path.display().to_string())?
            }
        };
        Ok(Self { toml, model })
    }

    /// Checks both.
    ///
    /// # Errors
    /// Says what is wrong with them, or with each other.
    pub fn check(&self) -> Result<JobSpec> {
        let job = JobSpec::with_model(self.toml.as_bytes(), &self.model)?;
        if job.kind == Kind::Train {
            Plan::of(&job)?;
        }
        Ok(job)
    }
}

impl From<&str> for JobFile {
    /// A job without a model file.
    fn from(toml: &str) -> Self {
        Self {
            toml: toml.into(),
            model: Vec::new(),
        }
    }
}

/// Signs a job and puts it into the queue; the job's identifier.
///
/// It is checked here first, so that a mistake in it is named before anybody else sees it.
pub async fn submit(
    home: &Home,
    member: &Member,
    connection: &mut Connection,
    job: &JobFile,
) -> Result<String> {
    job.check()?;
    let model = (!job.model.is_empty()).then_some(&job.model[..]);
    let signed = sign_job(&member.identity, &member.roster, &job.toml, model)?;
    let job_id = connection.submit(signed).await?;
    home.remember(&job_id, &job.toml)?;
    Ok(job_id)
}

/// The list of jobs as lines for people.
pub fn table(jobs: &[Job]) -> String {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now_ms.map_or(0, |now| now.as_millis() as i64);
    let mut lines = format!(
        "{:32}  {:24} {:9} {:12} submitted",
        "job", "name", "state", "recipient"
    );
    for job in jobs {
        lines += &format!(
            "\n{:32}  {:24} {:9} {:12} {} by {}",
            text::printable(&job.id),
            text::printable(&job.name),
            text::state(job.state()),
            text::printable(&job.recipient),
            text::ago(job.submitted_ms, now_ms),
            text::printable(&job.submitter),
        );
        if !job.reason.is_empty() {
            lines += &format!("\n{:34}{}", "", text::printable(&job.reason));
        }
    }
    lines
}

/// The list of jobs for programs.
pub fn to_json(jobs: &[Job]) -> Value {
    let object = |job: &Job| {
        json!({
            "id": job.id,
            "name": job.name,
            "state": text::state(job.state()),
            "submitter": job.submitter,
            "recipient": job.recipient,
            "parties": job.parties,
            "reason": job.reason,
            "culprit": job.culprit,
            "submitted_ms": job.submitted_ms,
            "ended_ms": job.ended_ms,
        })
    };
    json!({ "jobs": jobs.iter().map(object).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use tacit_api::proto::JobState;

    use super::*;

    #[test]
    fn a_failed_job_shows_its_reason_in_both_forms() {
        let mut job = Job {
            id: "00ff".into(),
            name: "trial".into(),
            reason: "west refused:\u{7} too few rows".into(),
            culprit: "west".into(),
            ..Job::default()
        };
        job.set_state(JobState::Failed);
        let lines = table(std::slice::from_ref(&job));
        assert!(
            lines.contains("failed") && lines.contains("west refused:  too few rows"),
            "{lines}"
        );
        assert_eq!(to_json(&[job])["jobs"][0]["culprit"], "west");
    }
}
