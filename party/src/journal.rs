//! The jobs that have run here. Nobody can make a party run a signed job twice: a second result on other randomness,
//! or on rows that changed in between, would tell more than the submitter was granted.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the journal of jobs {}: {source}; a party does not run jobs that it cannot write down", path.display())]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

/// A file of job identifiers, one a line.
pub(crate) struct Journal {
    path: PathBuf,
    state: Mutex<(HashSet<String>, File)>,
}

impl Journal {
    /// Opens the journal at `path`, or begins one.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            let text = std::fs::read_to_string(path)?;
            // A line that was cut short stays a line of its own.
            if !text.is_empty() && !text.ends_with('\n') {
                (&file).write_all(b"\n")?;
            }
            Ok((text.lines().map(str::to_owned).collect(), file))
        };
        let state = open().map_err(|source| JournalError {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Whether this job has run here.
    pub(crate) fn has(&self, job: &str) -> bool {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .contains(job)
    }

    /// How many jobs have run here.
    pub(crate) fn len(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .len()
    }

    /// Writes the job down, on the disk before this returns. `false` if it was there already.
    pub(crate) fn record(&self, job: &str) -> Result<bool, JournalError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.0.insert(job.to_owned()) {
            return Ok(false);
        }
        let written = state
            .1
            .write_all(format!("{job}\n").as_bytes())
            .and_then(|()| state.1.sync_data());
        written.map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_recorded_once_and_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert!(!journal.has("a"));
        assert!(journal.record("a").unwrap());
        assert!(!journal.record("a").unwrap());
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert!(journal.has("a") && !journal.has("b"));
        assert!(journal.record("b").unwrap() && !journal.record("a").unwrap());
        assert_eq!(journal.len(), 2);
        drop(journal);
        std::fs::write(&path, "a\nb\ncut").unwrap();
        let journal = Journal::open(&path).unwrap();
        assert!(journal.record("c").unwrap());
        drop(journal);
        assert!(Journal::open(&path).unwrap().has("c"));
    }

    #[test]
    fn a_journal_that_cannot_be_kept_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Journal::open(folder.path()).err().unwrap();
        assert!(
            error
                .to_string()
                .contains(&*folder.path().to_string_lossy())
        );
    }
}
