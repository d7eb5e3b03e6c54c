//! The store in a SQLite file.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteSynchronous};
use tacit_api::proto::{Event, Job, JobState, SealedShare};

use crate::change::{Change, Submission};
use crate::store::{Store, StoreError, StoredJob, is_over};

/// Jobs, events and sealed results in one file.
pub(crate) struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens or creates the database at `path` and brings its layout up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Each commit reaches the disk, so that a job once confirmed outlives even a power cut.
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool })
    }

    async fn add_event(
        connection: &mut SqliteConnection,
        change: Change,
    ) -> Result<Event, StoreError> {
        let next = "SELECT COALESCE(MAX(sequence), 0) + 1 FROM events WHERE job_id = ?";
        let sequence: i64 = sqlx::query_scalar(next)
            .bind(&change.job_id)
            .fetch_one(&mut *connection)
            .await?;
        let event = Event {
            sequence: sequence.unsigned_abs(),
            unix_ms: now_ms(),
            job_id: change.job_id,
            state: change.state.into(),
            text: change.text,
            party: change.party,
            progress: change.progress,
            culprit: change.culprit,
            cheating: change.cheating,
        };
        sqlx::query("INSERT INTO events (job_id, sequence, body) VALUES (?, ?, ?)")
            .bind(&event.job_id)
            .bind(sequence)
            .bind(event.encode_to_vec())
            .execute(connection)
            .await?;
        Ok(event)
    }
}

#[tonic::async_trait]
impl Store for SqliteStore {
    async fn submit(&self, job: &Submission) -> Result<Option<Event>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(
            "INSERT INTO jobs (id, signed, name, recipient, parties, state, submitted_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&job.id)
        .bind(job.signed.encode_to_vec())
        .bind(&job.spec.name)
        .bind(&job.spec.recipient)
        .bind(job.spec.parties().join(","))
        .bind(i32::from(JobState::Queued))
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(None);
        }
        let text = format!("{} submitted {}", job.signed.submitter, job.spec.name);
        let submitted = Change::new(&job.id, JobState::Queued, text);
        let event = Self::add_event(&mut transaction, submitted).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }

    async fn record(&self, change: Change) -> Result<Event, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(share) = &change.result {
            sqlx::query("INSERT INTO shares (job_id, party, body) VALUES (?, ?, ?)")
                .bind(&change.job_id)
                .bind(&share.party)
                .bind(share.encode_to_vec())
                .execute(&mut *transaction)
                .await?;
        }
        let over = is_over(change.state);
        sqlx::query(
            "UPDATE jobs SET state = ?, reason = ?, culprit = ?, ended_ms = ? WHERE id = ?",
        )
        .bind(i32::from(change.state))
        .bind(if over && change.state != JobState::Done {
            change.text.as_str()
        } else {
            ""
        })
        .bind(&change.culprit)
        .bind(if over { now_ms() } else { 0 })
        .bind(&change.job_id)
        .execute(&mut *transaction)
        .await?;
        let event = Self::add_event(&mut transaction, change).await?;
        transaction.commit().await?;
        Ok(event)
    }

    async fn job(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        let row = sqlx::query("SELECT * FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(stored_job).transpose()
    }

    async fn newest(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query("SELECT * FROM jobs ORDER BY number DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok(stored_job(row)?.summary))
            .collect()
    }

    async fn open(&self) -> Result<Vec<StoredJob>, StoreError> {
        let rows = sqlx::query("SELECT * FROM jobs WHERE ended_ms = 0 ORDER BY number")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(stored_job).collect()
    }

    async fn events(&self, id: &str, after: u64) -> Result<Vec<Event>, StoreError> {
        let query = "SELECT body FROM events WHERE job_id = ? AND sequence > ? ORDER BY sequence";
        let bodies = sqlx::query_scalar(query)
            .bind(id)
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        decode_all(id, bodies)
    }

    async fn shares(&self, id: &str) -> Result<Vec<SealedShare>, StoreError> {
        let bodies = sqlx::query_scalar("SELECT body FROM shares WHERE job_id = ? ORDER BY party")
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        decode_all(id, bodies)
    }
}

fn stored_job(row: &SqliteRow) -> Result<StoredJob, StoreError> {
    let id: String = row.try_get("id")?;
    let signed: Vec<u8> = row.try_get("signed")?;
    let signed = decode::<tacit_api::proto::SignedJob>(&id, &signed)?;
    let parties: String = row.try_get("parties")?;
    Ok(StoredJob {
        summary: Job {
            name: row.try_get("name")?,
            submitter: signed.submitter.clone(),
            recipient: row.try_get("recipient")?,
            parties: parties.split(',').map(str::to_owned).collect(),
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
            culprit: row.try_get("culprit")?,
            submitted_ms: row.try_get("submitted_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            id,
        },
        signed,
    })
}

fn decode_all<M: Message + Default>(
    job_id: &str,
    bodies: Vec<Vec<u8>>,
) -> Result<Vec<M>, StoreError> {
    bodies.iter().map(|body| decode(job_id, body)).collect()
}

fn decode<M: Message + Default>(job_id: &str, body: &[u8]) -> Result<M, StoreError> {
    M::decode(body).map_err(|_| StoreError::Damaged {
        job_id: job_id.to_owned(),
    })
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tacit_api::job::JobSpec;
    use tacit_api::proto::SignedJob;

    use super::*;

    fn submission(id: &str) -> Submission {
        let text = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
data = { dataset = "d", label = "y", classes = 2, features = [{ name = "x", min = 0, max = 1 }] }
model = { hidden = [] }
"#;
        Submission {
            id: id.into(),
            spec: JobSpec::parse(text).unwrap(),
            signed: SignedJob {
                toml: text.into(),
                submitter: "analyst".into(),
                ..SignedJob::default()
            },
        }
    }

    #[tokio::test]
    async fn everything_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.db");
        let store = SqliteStore::open(&path).await.unwrap();
        for id in ["a", "b"] {
            let event = store.submit(&submission(id)).await.unwrap().unwrap();
            assert_eq!(
                (event.sequence, event.text.as_str()),
                (1, "analyst submitted trial")
            );
        }
        assert!(store.submit(&submission("a")).await.unwrap().is_none());
        let share = SealedShare {
            party: "north".into(),
            ciphertext: vec![1, 2, 3],
            ..SealedShare::default()
        };
        for (state, result) in [
            (JobState::Running, Some(share.clone())),
            (JobState::Done, None),
        ] {
            let change = Change {
                result,
                ..Change::new("a", state, "text".into())
            };
            store.record(change).await.unwrap();
        }
        drop(store);

        let store = SqliteStore::open(&path).await.unwrap();
        let names =
            |jobs: Vec<Job>| -> Vec<String> { jobs.into_iter().map(|job| job.id).collect() };
        assert_eq!(names(store.newest(10).await.unwrap()), ["b", "a"]);
        assert_eq!(names(store.newest(1).await.unwrap()), ["b"]);
        let open = store.open().await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].summary.parties, ["north", "west", "south"]);
        assert_eq!(open[0].signed, submission("b").signed);
        let job = store.job("a").await.unwrap().unwrap().summary;
        assert_eq!((job.state(), job.reason.as_str()), (JobState::Done, ""));
        assert!(job.ended_ms >= job.submitted_ms && job.submitted_ms > 0);
        assert_eq!(store.shares("a").await.unwrap(), [share]);
        let events = store.events("a", 1).await.unwrap();
        assert_eq!(
            events
                .iter()
                .map(|event| event.sequence)
                .collect::<Vec<_>>(),
            [2, 3]
        );
        assert!(store.job("c").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_second_share_of_one_party_is_not_stored_and_leaves_no_event() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("coordinator.db"))
            .await
            .unwrap();
        store.submit(&submission("a")).await.unwrap();
        let change = Change {
            result: Some(SealedShare::default()),
            ..Change::new("a", JobState::Running, "text".into())
        };
        store.record(change.clone()).await.unwrap();
        store.record(change).await.unwrap_err();
        assert_eq!(store.events("a", 0).await.unwrap().len(), 2);
    }
}
