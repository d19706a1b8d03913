-- Which places have the report of which event.
CREATE TABLE delivery (
  event TEXT NOT NULL,
  user  TEXT NOT NULL,
  place TEXT NOT NULL,                      -- as the agreement names it, which allows no credentials in it
  at    TEXT NOT NULL,                      -- RFC 3339
  PRIMARY KEY (event, user, place)
) STRICT;
