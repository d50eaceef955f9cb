-- States of streams, so that a long history need not be read from its beginning. They save time and are never the truth:
-- the table may be emptied at any time.
CREATE TABLE daybook.snapshots (
    stream_id text   COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    body      bytea  NOT NULL,
    PRIMARY KEY (stream_id, position)
);
ALTER TABLE daybook.snapshots ALTER COLUMN body SET STORAGE MAIN; -- in the row: it is short
COMMENT ON TABLE daybook.snapshots IS 'The state of a stream after its event at a position. Not the truth: may be emptied at any time.';
