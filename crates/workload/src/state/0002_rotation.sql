-- Token keys that change within an epoch, participants that change or leave, and what the workload still owes to its own keys.
ALTER TABLE answer ADD COLUMN replaces BLOB NOT NULL DEFAULT x'';    -- key ids that this answer's key replaces, 16 bytes each

CREATE TABLE retired_key (                  -- token keys that are never accepted again
  epoch  INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder BLOB NOT NULL,
  key_id BLOB NOT NULL,
  PRIMARY KEY (epoch, holder, key_id)
) STRICT;

ALTER TABLE epoch ADD COLUMN renew_message_key INTEGER NOT NULL DEFAULT 0;   -- 1: the message key is due to be replaced
ALTER TABLE epoch ADD COLUMN vacuum INTEGER NOT NULL DEFAULT 0;              -- 1: erased rows are due to leave the file

CREATE TABLE departed (                     -- names that are nobody's any more, until nothing of them is left anywhere
  epoch INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  name  BLOB NOT NULL,
  PRIMARY KEY (epoch, name)
) STRICT;

CREATE TABLE opener (                       -- events that opened an epoch: none opens a second one
  event TEXT PRIMARY KEY
) STRICT;
