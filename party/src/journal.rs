//! The jobs that have run here. Nobody can make a party run a signed job twice: a second result on other randomness,
//! or on rows that changed in between, would tell more than the submitter was granted.

use std::collections::HashMap;
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

/// What a job that is written down did here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It trained, on the rows of whoever contributed: it counts against the party's budget.
    Training,
    /// It served a model, and touched no rows.
    Service,
}

/// Whether a job may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It does, and is written down.
    Begins,
    /// It has begun here before.
    Replay,
    /// As many have trained as may.
    Spent,
}

/// What follows the identifier of a job that served.
const SERVICE: &str = " service";

impl Entry {
    /// The identifier and the entry of a line.
    fn of(line: &str) -> (String, Self) {
        match line.strip_suffix(SERVICE) {
            Some(id) => (id.to_owned(), Self::Service),
            None => (line.to_owned(), Self::Training),
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Training => "",
            Self::Service => SERVICE,
        }
    }
}

/// A file of job identifiers, one a line, and what those did that trained nothing.
pub(crate) struct Journal {
    path: PathBuf,
    state: Mutex<(HashMap<String, Entry>, File)>,
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
            Ok((text.lines().map(Entry::of).collect(), file))
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
            .contains_key(job)
    }

    /// How many jobs have trained here.
    pub(crate) fn trainings(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        trainings(&state.0)
    }

    /// Writes the job down, on the disk before this returns, where it may begin: it is not there yet, and of trainings there are
    /// fewer than `budget`. Decided and written in one step, because jobs are accepted long before they begin.
    pub(crate) fn record(
        &self,
        job: &str,
        entry: Entry,
        budget: usize,
    ) -> Result<Admission, JournalError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.contains_key(job) {
            return Ok(Admission::Replay);
        }
        if entry == Entry::Training && trainings(&state.0) >= budget {
            return Ok(Admission::Spent);
        }
        state.0.insert(job.to_owned(), entry);
        let written = state
            .1
            .write_all(format!("{job}{}\n", entry.mark()).as_bytes())
            .and_then(|()| state.1.sync_data());
        written.map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })?;
        Ok(Admission::Begins)
    }
}

fn trainings(entries: &HashMap<String, Entry>) -> usize {
    let entries = entries.values();
    entries.filter(|&&entry| entry == Entry::Training).count()
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
        assert!(journal.record("a", Entry::Training, 9).unwrap() == Admission::Begins);
        assert!(journal.record("a", Entry::Training, 9).unwrap() == Admission::Replay);
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert!(journal.has("a") && !journal.has("b"));
        assert!(
            journal.record("b", Entry::Training, 9).unwrap() == Admission::Begins
                && journal.record("a", Entry::Training, 9).unwrap() == Admission::Replay
        );
        assert_eq!(journal.trainings(), 2);
        // Jobs that were accepted together do not all begin.
        let spent = journal.record("z", Entry::Training, 2).unwrap();
        assert_eq!((spent, journal.has("z")), (Admission::Spent, false));
        drop(journal);
        std::fs::write(&path, "a\nb\ncut").unwrap();
        let journal = Journal::open(&path).unwrap();
        assert!(journal.record("c", Entry::Training, 9).unwrap() == Admission::Begins);
        drop(journal);
        assert!(Journal::open(&path).unwrap().has("c"));
    }

    #[test]
    fn services_are_written_down_and_count_as_no_trainings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert!(journal.record("a", Entry::Service, 9).unwrap() == Admission::Begins);
        assert!(journal.record("b", Entry::Training, 9).unwrap() == Admission::Begins);
        assert!(journal.record("a", Entry::Training, 9).unwrap() == Admission::Replay);
        assert_eq!(journal.trainings(), 1);
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert!(journal.has("a") && journal.has("b"));
        assert_eq!(journal.trainings(), 1);
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
