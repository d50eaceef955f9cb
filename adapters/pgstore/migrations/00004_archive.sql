-- Old events can be moved to an archive. Of those only what they say is dropped: data and metadata are empty then. Position, stream,
-- version, times and hash stay, so that everything else goes on as before.
-- A Daybook that does not know of this must not run any more: it would take such an event for a damaged one.
CREATE TABLE daybook.archived (
    one      boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    position bigint  NOT NULL
);
COMMENT ON TABLE daybook.archived IS 'The position up to which data and metadata of events were dropped, after they were archived. One row.';
INSERT INTO daybook.archived (position) VALUES (0);
