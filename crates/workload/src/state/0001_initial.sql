-- One space a database. Columns named `sealed` hold nonce, ciphertext and tag; everything else may be seen.
CREATE TABLE space (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  root          BLOB NOT NULL,
  check_value   BLOB NOT NULL,              -- the root, sealed: tells a wrong key before it does harm
  status_serial INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE epoch (
  epoch     INTEGER PRIMARY KEY,
  serial    INTEGER NOT NULL,               -- of the newest announcement
  opened_by TEXT NOT NULL                   -- the event
) STRICT;

CREATE TABLE secret (
  epoch  INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  name   TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (epoch, name)
) STRICT;

CREATE TABLE share_point (                  -- S_j: the same for every holder of an epoch
  epoch   INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  steward BLOB NOT NULL,
  point   BLOB NOT NULL,
  PRIMARY KEY (epoch, steward)
) STRICT;

CREATE TABLE blind (
  epoch   INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder  BLOB NOT NULL,
  steward BLOB NOT NULL,
  sealed  BLOB NOT NULL,
  PRIMARY KEY (epoch, holder, steward)
) STRICT;

CREATE TABLE answer (
  epoch  INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder BLOB NOT NULL,
  key_id BLOB NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (epoch, holder)
) STRICT;

CREATE TABLE rekey (
  epoch  INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder BLOB NOT NULL,
  key_id BLOB NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (epoch, holder)
) STRICT;

CREATE TABLE canary (
  epoch  INTEGER PRIMARY KEY REFERENCES epoch ON DELETE CASCADE,
  holder BLOB NOT NULL,                     -- whose canary came first
  sealed BLOB NOT NULL
) STRICT;

CREATE TABLE dataset (
  epoch   INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder  BLOB NOT NULL,
  dataset TEXT NOT NULL,
  version INTEGER NOT NULL,
  sha256  TEXT NOT NULL,
  key_id  BLOB NOT NULL,
  rows    INTEGER NOT NULL,
  kinds   TEXT NOT NULL,                    -- JSON: kind -> counts and fused file
  PRIMARY KEY (epoch, holder, dataset)
) STRICT;

CREATE TABLE refusal (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch  INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  sender BLOB,
  reason TEXT NOT NULL
) STRICT;

CREATE TABLE event (
  id   TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
