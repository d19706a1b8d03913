-- In which company a reported set met its partner: figures of fewer or more holders can be subtracted from each other.
CREATE TABLE reported_company (
  epoch     INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder    BLOB NOT NULL,
  partner   BLOB NOT NULL,
  kind      TEXT NOT NULL,
  fused_set TEXT NOT NULL,
  company   TEXT NOT NULL,                  -- digest of the names of all holders that took part, hex
  PRIMARY KEY (epoch, holder, partner, kind, fused_set)
) STRICT, WITHOUT ROWID;
