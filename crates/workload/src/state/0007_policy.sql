-- What the policy has to remember of reports that were made.
CREATE TABLE set_sketch (                   -- tells later sets that differ little from a reported one
  epoch     INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  fused_set TEXT NOT NULL,                  -- SHA-256 of the set's match keys, hex
  sealed    BLOB NOT NULL,
  PRIMARY KEY (epoch, fused_set)
) STRICT;

CREATE TABLE reported_set (                 -- which sets of which holder were in a report with which partner
  epoch     INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder    BLOB NOT NULL,
  partner   BLOB NOT NULL,
  kind      TEXT NOT NULL,
  fused_set TEXT NOT NULL,
  PRIMARY KEY (epoch, holder, partner, kind, fused_set)
) STRICT, WITHOUT ROWID;

CREATE TABLE answered (                     -- the answer to every question, for when it is asked again
  epoch    INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  question TEXT NOT NULL,                   -- SHA-256 of the sets, the holders and the policy, hex
  event    TEXT NOT NULL,
  sealed   BLOB NOT NULL,
  PRIMARY KEY (epoch, question)
) STRICT;
