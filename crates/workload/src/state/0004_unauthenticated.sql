-- Tables of tokens in the place of protected datasets.
ALTER TABLE dataset ADD COLUMN unauthenticated INTEGER NOT NULL DEFAULT 0;   -- 1: nothing in it showed who made it
