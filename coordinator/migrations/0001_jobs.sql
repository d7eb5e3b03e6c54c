-- Jobs in the order of their submission. `signed` is the SignedJob message as the submitter sent it.
CREATE TABLE jobs (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL UNIQUE,
    signed       BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    parties      TEXT    NOT NULL, -- names, separated by commas
    state        INTEGER NOT NULL, -- a JobState
    reason       TEXT    NOT NULL DEFAULT '',
    culprit      TEXT    NOT NULL DEFAULT '',
    submitted_ms INTEGER NOT NULL,
    ended_ms     INTEGER NOT NULL DEFAULT 0
);

-- What happened to each job: Event messages, counted from 1 within the job.
CREATE TABLE events (
    job_id   TEXT    NOT NULL REFERENCES jobs (id),
    sequence INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (job_id, sequence)
);

-- The results as the parties sealed them: SealedShare messages.
CREATE TABLE shares (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    party  TEXT NOT NULL,
    body   BLOB NOT NULL,
    PRIMARY KEY (job_id, party)
);
