//! Sessions in which somebody cheated, or may have: a proof or an opening failed, or a peer fell silent where only a cheater
//! gains by it. One such session is noticed with probability 1 - 2^-46; starting again with the same parties whenever it happens
//! gives the cheater another attempt each time (requirement 12 of the malicious specification: no automatic restart with these
//! parties). So each is a file in a directory, and while it lies there this party computes with the same two no more. The
//! operator, who talks to the others, decides when to put it away.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

/// What happened in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incident {
    /// The job.
    pub(crate) job: String,
    /// Which attempt at it.
    pub(crate) attempt: u32,
    /// The three that computed, by name.
    pub(crate) computing: Vec<String>,
    /// What was found.
    pub(crate) found: String,
    /// Those of whom one did it.
    pub(crate) suspects: Vec<String>,
    /// Whether the job was being stopped, which also breaks links in the middle of a proof.
    #[serde(default)]
    pub(crate) stopped: bool,
}

/// So many jobs of three parties may be stopped in the middle of a proof before that counts as a failed one: whoever computes can
/// have a job stopped, and so hide that its error would have been found.
const STOPPED: usize = 16;

/// The incidents cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the incident {}: {why}", path.display())]
pub(crate) struct IncidentError {
    path: PathBuf,
    why: String,
}

impl IncidentError {
    fn of(path: &Path, why: &dyn ToString) -> Self {
        Self {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}

/// A directory of incidents, a file each. It is read anew at every question, so that what is put away counts at once.
pub(crate) struct Incidents {
    directory: PathBuf,
    /// Whether one could not be written.
    lost: AtomicBool,
}

impl Incidents {
    /// Those in this directory, which is made with the first.
    pub(crate) fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            lost: AtomicBool::new(false),
        }
    }

    /// Keeps an incident, on the disk before this returns, and says where.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&self, incident: &Incident) -> Result<PathBuf, IncidentError> {
        let Incident { job, attempt, .. } = incident;
        let path = self.directory.join(format!("{job}-{attempt}.toml"));
        let text = toml::to_string(incident).map_err(|e| IncidentError::of(&path, &e))?;
        let write = || {
            fs::create_dir_all(&self.directory)?;
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|e| {
            self.lost.store(true, Ordering::SeqCst);
            IncidentError::of(&path, &e)
        })?;
        Ok(path)
    }

    /// An incident among these three, in any order, if there is one; of jobs that were stopped, more than 16.
    ///
    /// # Errors
    /// A file of the directory cannot be read, or one could not be written: it may be about these three.
    pub(crate) fn among(&self, computing: &[String]) -> Result<Option<Incident>, IncidentError> {
        if self.lost.load(Ordering::SeqCst) {
            let why = "one could not be written here: see that there is room, and start me again";
            return Err(IncidentError::of(&self.directory, &why));
        }
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let computing = sorted(computing);
        let entries = match fs::read_dir(&self.directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(|e| IncidentError::of(&self.directory, &e))?,
        };
        let mut stopped = 0;
        for entry in entries {
            let path = entry
                .map_err(|e| IncidentError::of(&self.directory, &e))?
                .path();
            // What is put away into a folder or under another ending does not count, nor what an editor leaves.
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| IncidentError::of(&path, &e))?;
            let incident: Incident =
                toml::from_str(&text).map_err(|e| IncidentError::of(&path, &e))?;
            if sorted(&incident.computing) == computing {
                stopped += usize::from(incident.stopped);
                if !incident.stopped || stopped > STOPPED {
                    return Ok(Some(incident));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: [&str; 3]) -> Vec<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn an_incident_lasts_until_its_file_is_put_away() {
        let dir = tempfile::tempdir().unwrap();
        let incidents = || Incidents::at(&dir.path().join("incidents"));
        let trio = names(["north", "west", "south"]);
        assert_eq!(incidents().among(&trio).unwrap(), None);
        let incident = Incident {
            job: "ab12".into(),
            attempt: 1,
            computing: trio.clone(),
            found: "the proof of run 3: \"an\" equation\nfails".into(),
            suspects: vec!["west".into()],
            stopped: false,
        };
        let path = incidents().keep(&incident).unwrap();
        // Anew, as after a restart, and in any order.
        let other_order = names(["south", "north", "west"]);
        assert_eq!(
            incidents().among(&other_order).unwrap().as_ref(),
            Some(&incident)
        );
        let others = names(["north", "west", "east"]);
        assert_eq!(incidents().among(&others).unwrap(), None);
        fs::remove_file(path).unwrap();
        assert_eq!(incidents().among(&trio).unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_may_be_about_anybody() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cut-1.toml"), "job = \"a").unwrap();
        let incidents = Incidents::at(dir.path());
        let error = incidents.among(&names(["a", "b", "c"])).unwrap_err();
        assert!(error.to_string().contains("cut-1.toml"), "{error}");
    }

    /// Who can have jobs stopped does not get attempts without end.
    #[test]
    fn jobs_that_were_stopped_count_when_they_are_many() {
        let dir = tempfile::tempdir().unwrap();
        let incidents = Incidents::at(dir.path());
        let trio = names(["north", "west", "south"]);
        for attempt in 0..=STOPPED {
            assert_eq!(incidents.among(&trio).unwrap(), None, "{attempt}");
            let incident = Incident {
                job: "ab12".into(),
                attempt: attempt as u32,
                computing: trio.clone(),
                found: "a broken link".into(),
                suspects: vec!["west".into(), "south".into()],
                stopped: true,
            };
            incidents.keep(&incident).unwrap();
        }
        assert!(incidents.among(&trio).unwrap().is_some());
    }

    #[test]
    fn an_incident_that_cannot_be_written_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("incidents");
        fs::write(&taken, "a file where the directory should be").unwrap();
        let incidents = Incidents::at(&taken);
        let incident = Incident {
            job: "ab12".into(),
            attempt: 1,
            computing: names(["a", "b", "c"]),
            found: "a proof".into(),
            suspects: vec!["b".into()],
            stopped: false,
        };
        assert!(incidents.keep(&incident).is_err());
        fs::remove_file(&taken).unwrap();
        assert!(incidents.among(&names(["a", "b", "d"])).is_err());
    }
}
