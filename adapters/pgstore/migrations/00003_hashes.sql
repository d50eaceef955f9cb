-- Every event carries a hash that binds it to the one before it in its stream, and a tree over all hashes binds the whole store.
-- Events from before, and events from outside the store, get theirs from the next process that writes, or starts.
ALTER TABLE daybook.events ADD COLUMN hash bytea;
COMMENT ON COLUMN daybook.events.hash IS 'SHA-256 over the event and the hash of the one before it in its stream. NULL: not sealed yet.';

CREATE TABLE daybook.tree (
    one   boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    size  bigint  NOT NULL,
    state bytea   NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE daybook.tree IS 'The Merkle tree (RFC 6962) over the hashes of all events up to the position in size: its seal. One row.';
INSERT INTO daybook.tree (size, state) VALUES (0, '\x0000000000000000');

CREATE TABLE daybook.tree_nodes (
    level integer NOT NULL,
    index bigint  NOT NULL,
    hash  bytea   NOT NULL,
    PRIMARY KEY (level, index)
);
COMMENT ON TABLE daybook.tree_nodes IS 'Nodes of that tree over 256, 256 * 256, ... events each.';
