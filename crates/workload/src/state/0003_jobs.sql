-- What an operator wants to know: which events were processed and how, which datasets were seen, what was spent of which budget.
-- Nothing of an event's content, and nothing sealed: these tables can be read without the workload's key.
CREATE TABLE job (
  event      TEXT PRIMARY KEY,
  type       TEXT NOT NULL,
  stream     TEXT,                          -- of the queue; none where there was no queue
  state      TEXT NOT NULL CHECK (state IN ('started', 'done', 'retrying', 'failed', 'dead', 'interrupted')),
  attempts   INTEGER NOT NULL,
  first_seen TEXT NOT NULL,
  started    TEXT,                          -- the newest attempt
  finished   TEXT,
  class      TEXT,                          -- of the error of the newest attempt that failed
  outcome    TEXT,
  output     TEXT,
  runner     TEXT,                          -- the process that has it; its lock tells whether it lives
  retried_as TEXT                           -- the event that an operator sent in its place
) STRICT;

CREATE INDEX job_by_first_seen ON job (first_seen);

CREATE TABLE dataset_seen (                 -- every dataset that was ever accepted, former versions and epochs included
  holder     BLOB NOT NULL,
  dataset    TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  version    INTEGER NOT NULL,
  rows       INTEGER NOT NULL,
  first_seen TEXT NOT NULL,
  last_used  TEXT NOT NULL,
  PRIMARY KEY (holder, dataset, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget (                       -- how often something was done in a day, UTC
  subject TEXT NOT NULL,
  day     TEXT NOT NULL,
  used    INTEGER NOT NULL,
  PRIMARY KEY (subject, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE spending (                     -- by which events, so that an event that comes again does not spend again
  subject TEXT NOT NULL,
  day     TEXT NOT NULL,
  event   TEXT NOT NULL,
  PRIMARY KEY (subject, event)
) STRICT, WITHOUT ROWID;
