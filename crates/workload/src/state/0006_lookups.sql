-- Which requests of look-ups came, so that none is answered for a second event. No token, and nothing of an answer.
CREATE TABLE lookup (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch      INTEGER NOT NULL,
  asker      BLOB NOT NULL,
  request    BLOB NOT NULL,
  event      TEXT NOT NULL,
  in_mailbox INTEGER NOT NULL DEFAULT 0,    -- 1: its answer lies in the mailbox
  UNIQUE (epoch, asker, request)
) STRICT;
