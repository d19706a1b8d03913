-- Which rows a reported set had in reports that look at rows: waterfalls, lists, aggregates.
CREATE TABLE reported_rows (
  epoch      INTEGER NOT NULL REFERENCES epoch ON DELETE CASCADE,
  holder     BLOB NOT NULL,
  partner    BLOB NOT NULL,
  kind       TEXT NOT NULL,
  fused_set  TEXT NOT NULL,
  fused_rows TEXT NOT NULL,                 -- digest of the rows, hex
  PRIMARY KEY (epoch, holder, partner, kind, fused_set)
) STRICT, WITHOUT ROWID;
