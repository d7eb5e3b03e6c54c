//! A member's directory: its keys, its request, the roster, and the jobs it has submitted.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tacit_api::identity::Identity;
use tacit_api::job::JobSpec;
use tacit_api::roster::Roster;

/// The directory of one client.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
}

/// Who we are, and among whom.
pub struct Member {
    /// Our private keys.
    pub identity: Identity,
    /// The members, us among them.
    pub roster: Roster,
    /// Our name in the roster.
    pub name: String,
}

impl Home {
    /// The client whose files are in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The private keys.
    pub fn identity(&self) -> PathBuf {
        self.directory.join("client.key")
    }

    /// What goes to the coordinator's operator.
    pub fn request(&self) -> PathBuf {
        self.directory.join("request.toml")
    }

    /// What comes back, and everybody has.
    pub fn roster(&self) -> PathBuf {
        self.directory.join("consortium.toml")
    }

    /// Makes keys, and the request to be admitted as the client `name`. Existing keys stay as they are: an error.
    pub fn init(&self, name: &str) -> Result<()> {
        let identity = Identity::generate()?;
        // Before anything is written, so that a wrong name leaves nothing behind.
        let request = identity.request(name, None)?.to_toml()?;
        let shown = |path: &Path| path.display().to_string();
        std::fs::create_dir_all(&self.directory).with_context(|| shown(&self.directory))?;
        identity.save(&self.identity())?;
        std::fs::write(self.request(), request).with_context(|| shown(&self.request()))
    }

    /// Loads keys and roster.
    pub fn open(&self) -> Result<Member> {
        ensure!(
            self.identity().exists(),
            "{} has no identity: run tacit init --name NAME there, or say --dir DIR",
            self.directory.display()
        );
        ensure!(
            self.roster().exists(),
            "{} is missing: send {} to the coordinator's operator and put the roster that comes back there",
            self.roster().display(),
            self.request().display()
        );
        let identity = Identity::load(&self.identity())?;
        let roster =
            Roster::load(&self.roster()).with_context(|| self.roster().display().to_string())?;
        let name = identity.certificate(&roster)?.name().to_owned();
        Ok(Member {
            identity,
            roster,
            name,
        })
    }

    /// Keeps the file of a job that was submitted, so that its losses can be read while it runs.
    pub fn remember(&self, job_id: &str, toml: &str) -> Result<()> {
        let file = self.job_file(job_id);
        let folder = self.directory.join("jobs");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, toml))
            .with_context(|| file.display().to_string())
    }

    /// The job that was submitted from here under this identifier, if it was.
    pub fn recall(&self, job_id: &str) -> Option<JobSpec> {
        // An identifier is text of the command line: only what can be one becomes part of a path.
        let sound = !job_id.is_empty() && job_id.chars().all(|c| c.is_ascii_hexdigit());
        let text = sound.then(|| std::fs::read_to_string(self.job_file(job_id)).ok())??;
        JobSpec::parse(&text).ok()
    }

    fn job_file(&self, job_id: &str) -> PathBuf {
        self.directory.join("jobs").join(format!("{job_id}.toml"))
    }
}

#[cfg(test)]
mod tests {
    use tacit_api::identity::Request;

    use super::*;

    #[test]
    fn a_client_is_made_once_and_waits_for_its_roster() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(&directory.path().join("analyst"));
        let error = |home: &Home| home.open().map(|_| ()).unwrap_err().to_string();
        assert!(error(&home).contains("tacit init"));
        assert!(home.init("No Name").is_err());
        assert!(!home.identity().exists());
        home.init("analyst").unwrap();
        let text = std::fs::read_to_string(home.request()).unwrap();
        assert_eq!(Request::from_toml(&text).unwrap().name, "analyst");
        assert!(error(&home).contains("operator"));
        assert!(home.init("analyst").is_err(), "keys are never replaced");
    }

    #[test]
    fn submitted_jobs_are_found_again_and_nothing_else_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let toml = tacit_examples::BREAST_CANCER.jobs[0];
        home.remember("00ff", toml).unwrap();
        assert_eq!(home.recall("00ff"), Some(JobSpec::parse(toml).unwrap()));
        assert_eq!(home.recall("00fe"), None);
        assert_eq!(home.recall("../jobs/00ff"), None);
        assert_eq!(home.recall(""), None);
    }
}
