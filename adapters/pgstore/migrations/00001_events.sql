-- The tables of Daybook. "daybook." stands for the schema that was configured.
-- This file is applied in one transaction and never changed afterwards: what comes later is a file of its own.

CREATE TABLE daybook.events (
    position     bigint      NOT NULL PRIMARY KEY,
    stream_id    text        COLLATE "C" NOT NULL,
    version      bigint      NOT NULL,
    type         text        COLLATE "C" NOT NULL,
    schema       integer     NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    data         text        COLLATE "C" NOT NULL, -- JSON as it was written: jsonb would keep another text
    metadata     text        COLLATE "C" NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream_id, version)
);
COMMENT ON TABLE daybook.events IS 'Every event of every stream, in commit order, without gap. Append only.';

CREATE TABLE daybook.outcomes (
    key         bytea       NOT NULL PRIMARY KEY,
    refusal     boolean     NOT NULL,
    recorded_at timestamptz NOT NULL,
    body        bytea       NOT NULL
);
CREATE INDEX outcomes_refusals ON daybook.outcomes (recorded_at) WHERE refusal;
COMMENT ON TABLE daybook.outcomes IS 'What became of a command, under its principal and idempotency key.';

CREATE TABLE daybook.checkpoints (
    name     text   COLLATE "C" NOT NULL PRIMARY KEY,
    position bigint NOT NULL
);
COMMENT ON TABLE daybook.checkpoints IS 'How far each follower of the events has got.';

CREATE TABLE daybook.leases (
    name       text        COLLATE "C" NOT NULL PRIMARY KEY,
    token      bigint      NOT NULL,
    holder     text        COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE daybook.leases IS 'Who does the work that one process at a time may do. Tokens only rise: rows are never deleted.';

CREATE TABLE daybook.batches (
    position     bigint      NOT NULL,
    id           uuid        NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (position, id)
);
COMMENT ON TABLE daybook.batches IS 'The batches of the last minutes: whoever lost the answer to a commit finds it here.';

-- One who writes holds this lock until the transaction has ended, so positions follow the order of commits, and a reader
-- that goes on after the last position it saw misses nothing.
CREATE FUNCTION daybook.lock_events() RETURNS void LANGUAGE sql AS
$$ SELECT pg_advisory_xact_lock(17497, 'daybook.events'::regclass::oid::integer) $$;

-- Events from outside the store are put in line: under the lock, at the next position, as the next version.
CREATE FUNCTION daybook.guard_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head    bigint;
    last    timestamptz;
    current bigint;
BEGIN
    PERFORM daybook.lock_events();
    SELECT e.position, e.recorded_at INTO head, last FROM daybook.events e ORDER BY e.position DESC LIMIT 1;
    SELECT max(e.version) INTO current FROM daybook.events e WHERE e.stream_id = NEW.stream_id;
    head := coalesce(head, 0);
    current := coalesce(current, 0);
    NEW.position := coalesce(NEW.position, head + 1);
    NEW.version := coalesce(NEW.version, current + 1);
    NEW.recorded_at := coalesce(NEW.recorded_at, greatest(clock_timestamp(), last + interval '1 microsecond'));
    NEW.effective_at := coalesce(NEW.effective_at, NEW.recorded_at);
    IF NEW.position <> head + 1 THEN
        RAISE EXCEPTION 'position % was given where % comes next', NEW.position, head + 1
            USING ERRCODE = 'check_violation', HINT = 'Leave position NULL and the next one is given.';
    ELSIF NEW.version <> current + 1 THEN
        RAISE EXCEPTION '% was given version % where % comes next', NEW.stream_id, NEW.version, current + 1
            USING ERRCODE = 'check_violation', HINT = 'Leave version NULL and the next one is given.';
    ELSIF NEW.recorded_at <= last THEN
        RAISE EXCEPTION 'recorded_at % does not rise after %', NEW.recorded_at, last
            USING ERRCODE = 'check_violation', HINT = 'Leave recorded_at NULL and the time is given.';
    ELSIF json_typeof(NEW.data::json) <> 'object' OR json_typeof(NEW.metadata::json) <> 'object'
        OR left(NEW.data, 1) <> '{' OR right(NEW.data, 1) <> '}' OR left(NEW.metadata, 1) <> '{' OR right(NEW.metadata, 1) <> '}' THEN
        RAISE EXCEPTION 'data and metadata must be JSON objects without white space around them' USING ERRCODE = 'check_violation';
    ELSIF NEW.schema < 0 OR NEW.stream_id !~ '^[^"\\[:cntrl:]]+$' OR NEW.type !~ '^[^"\\[:cntrl:]]+$' THEN
        RAISE EXCEPTION 'stream_id and type must be without quotes, backslashes and control characters, schema not below zero'
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.events', '');
    RETURN NEW;
END $$;

-- The store has done all of this itself when it says so; the condition spares it the call for each row.
CREATE TRIGGER events_guard_insert BEFORE INSERT ON daybook.events FOR EACH ROW
    WHEN (current_setting('daybook.unit', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION daybook.guard_insert();

CREATE FUNCTION daybook.guard_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('daybook.archive', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'events are never changed or deleted: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Write an event that corrects it. To move old events away on purpose: SET LOCAL daybook.archive = ''on''.';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER events_guard_history BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.events FOR EACH STATEMENT
    EXECUTE FUNCTION daybook.guard_history();
