package pgstore

import "strings"

// queries are the statements of the store, with its schema put in.
type queries struct {
	setUp, lock, evict, last, tails, known, ends            string
	addEvents, addOutcomes, setOutcomes                     string
	setTree, addNodes, permit, setHashes, hashes            string
	tree, nodes                                             string
	archived, lockArchived, emptyEvents, moveArchived       string
	vacuum, standing                                        string
	addBatch, notify, findBatch                             string
	head, stream, feed, positionAt, outcome, outcomes       string
	checkpoint, checkpoints, saveCheckpoint, lease, release string
	snapshot, saveSnapshots                                 string
	listen, forgetBatches, forgetRefusals, migrationsTable  string
}

const columns = `e.position, e.stream_id, e.version, e.type, e.schema, e.effective_at, e.recorded_at, e.data, e.metadata, e.hash`

func queriesFor(schema string) queries {
	q := queries{
		// What a unit may hold, and for how long, is set in its own transaction: this works through a pooler, too.
		setUp: `SELECT set_config('daybook.unit', 'on', true), set_config('idle_in_transaction_session_timeout', $1, true),
			set_config('lock_timeout', $2, true), set_config('statement_timeout', $3, true),
			set_config('plan_cache_mode', 'force_generic_plan', true)`,
		lock: `SELECT pg_advisory_xact_lock(17497, 'daybook.events'::regclass::oid::integer)`, // as lock_events() does, without the call
		// A process that stopped in the middle of sending or receiving is not idle to the server, and no timeout ends its session.
		evict: `SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 17497 AND l.objid = 'daybook.events'::regclass::oid AND l.objsubid = 2
			AND a.usename = current_user AND a.wait_event IN ('ClientRead', 'ClientWrite') AND a.state_change < clock_timestamp() - $1::interval`,
		last: `SELECT coalesce(e.position, 0), coalesce(e.recorded_at, '-infinity'), t.size, t.state FROM daybook.tree t
			LEFT JOIN LATERAL (SELECT position, recorded_at FROM daybook.events ORDER BY position DESC LIMIT 1) e ON true`,
		// The version that the caller knows is read, too: it shows that it is there. OFFSET 0 keeps the index in use.
		tails: `SELECT n.i, ` + columns + ` FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY n(stream, after, at, i),
			LATERAL (SELECT * FROM daybook.events x WHERE x.stream_id = n.stream AND x.version >= n.after ORDER BY x.version OFFSET 0) e
			WHERE n.at < (SELECT max(position) FROM daybook.events) ORDER BY n.i, e.version`,
		known: `SELECT k.i, o.refusal, o.recorded_at, o.body FROM unnest($1::bytea[]) WITH ORDINALITY k(key, i),
			LATERAL (SELECT * FROM daybook.outcomes x WHERE x.key = k.key OFFSET 0) o`,
		ends: `SELECT s, e.version, e.hash FROM unnest($1::text[]) s,
			LATERAL (SELECT x.version, x.hash FROM daybook.events x WHERE x.stream_id = s ORDER BY x.version DESC LIMIT 1) e`,

		addEvents: `INSERT INTO daybook.events (position, stream_id, version, type, schema, effective_at, recorded_at, data, metadata, hash)
			SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[],
				$10::bytea[])`,
		setTree:   `UPDATE daybook.tree SET size = $1, state = $2`,
		addNodes:  `INSERT INTO daybook.tree_nodes (level, index, hash) SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bytea[])`,
		permit:    `SELECT set_config('daybook.archive', 'on', true)`,
		setHashes: `UPDATE daybook.events e SET hash = n.hash FROM unnest($1::bigint[], $2::bytea[]) n(position, hash) WHERE e.position = n.position`,
		hashes: `SELECT e.stream_id, e.hash FROM unnest($1::text[], $2::bigint[]) n(stream, version)
			JOIN daybook.events e ON e.stream_id = n.stream AND e.version = n.version`,
		tree:         `SELECT size, state FROM daybook.tree`,
		nodes:        `SELECT index, hash FROM daybook.tree_nodes WHERE level = $1 AND index >= $2 ORDER BY index LIMIT $3`,
		archived:     `SELECT position FROM daybook.archived`,
		lockArchived: `SELECT position FROM daybook.archived FOR UPDATE`,
		emptyEvents:  `UPDATE daybook.events SET data = '', metadata = '' WHERE position > $1 AND position <= $2`,
		moveArchived: `UPDATE daybook.archived SET position = $1`,
		vacuum:       `VACUUM (TRUNCATE false) daybook.events`, // its end is never empty
		addOutcomes: `INSERT INTO daybook.outcomes (key, refusal, recorded_at, body)
			SELECT * FROM unnest($1::bytea[], $2::boolean[], $3::timestamptz[], $4::bytea[])`,
		addBatch:  `INSERT INTO daybook.batches (position, id) VALUES ($1, $2)`,
		notify:    `SELECT pg_notify('daybook.events', $1)`,
		findBatch: `SELECT EXISTS (SELECT FROM daybook.batches WHERE position = $1 AND id = $2)`,

		head:     `SELECT coalesce(max(position), 0) FROM daybook.events`,
		standing: `SELECT coalesce(max(e.position), 0), (SELECT position FROM daybook.archived) FROM daybook.events e`,
		stream:   `SELECT ` + columns + ` FROM daybook.events e WHERE e.stream_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3`,
		feed:     `SELECT ` + columns + ` FROM daybook.events e WHERE e.position > $1 ORDER BY e.position LIMIT $2`,
		// Recorded time rises with the position, so halving finds the place by the primary key, without an index of its own.
		positionAt: `WITH RECURSIVE search(low, high) AS (
				SELECT coalesce(min(position), 1) - 1, coalesce(max(position), 0) FROM daybook.events
				UNION ALL
				SELECT CASE WHEN before THEN middle ELSE low END, CASE WHEN before THEN high ELSE middle - 1 END
				FROM search, LATERAL (SELECT (low + high + 1) / 2 AS middle OFFSET 0) m,
					LATERAL (SELECT (SELECT recorded_at <= $1 FROM daybook.events WHERE position = middle) AS before OFFSET 0) b
				WHERE low < high)
			SELECT low FROM search WHERE low >= high`,
		outcome: `SELECT refusal, recorded_at, body FROM daybook.outcomes WHERE key = $1`,

		outcomes: `SELECT key, refusal, recorded_at, body FROM daybook.outcomes WHERE key >= $1 ORDER BY key LIMIT $2`,

		checkpoint:  `SELECT position FROM daybook.checkpoints WHERE name = $1`,
		checkpoints: `SELECT name, position FROM daybook.checkpoints`,
		// The row of the lease stays locked until the checkpoint is there: nobody gets the lease in between.
		saveCheckpoint: `WITH lease AS MATERIALIZED (SELECT token FROM daybook.leases WHERE name = $1 FOR SHARE)
			INSERT INTO daybook.checkpoints (name, position) SELECT $1, $3 WHERE NOT EXISTS (SELECT FROM lease WHERE token > $2)
			ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position`,
		lease: `INSERT INTO daybook.leases AS l (name, token, holder, expires_at) VALUES ($1, 1, $2, clock_timestamp() + $3::interval)
			ON CONFLICT (name) DO UPDATE SET holder = $2, expires_at = clock_timestamp() + $3::interval,
				token = CASE WHEN l.holder = $2 AND l.expires_at > clock_timestamp() THEN l.token ELSE l.token + 1 END
			WHERE l.holder = $2 OR l.expires_at <= clock_timestamp() RETURNING token`,
		release: `UPDATE daybook.leases SET expires_at = '-infinity' WHERE name = $1 AND token = $2`,

		snapshot: `SELECT position, body FROM daybook.snapshots WHERE stream_id = $1 AND position <= $2 ORDER BY position DESC LIMIT 1`,
		// In one order, so that several who save never wait for each other in a circle; rows that would not change are left alone.
		saveSnapshots: `WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS how)
			INSERT INTO daybook.snapshots AS s (stream_id, position, body)
			SELECT DISTINCT ON (n.stream, n.position) n.stream, n.position, n.body
			FROM lazily, unnest($1::text[], $2::bigint[], $3::bytea[]) WITH ORDINALITY n(stream, position, body, i)
			WHERE lazily.how IS NOT NULL ORDER BY n.stream, n.position, n.i DESC
			ON CONFLICT (stream_id, position) DO UPDATE SET body = EXCLUDED.body WHERE s.body <> EXCLUDED.body`,

		listen:        `LISTEN "daybook.events"`,
		forgetBatches: `DELETE FROM daybook.batches WHERE committed_at < clock_timestamp() - interval '10 minutes'`,
		forgetRefusals: `DELETE FROM daybook.outcomes WHERE refusal
			AND recorded_at < (SELECT recorded_at FROM daybook.events ORDER BY position DESC LIMIT 1) - $1::interval`,
		migrationsTable: `daybook.migrations`,
	}
	q.setOutcomes = q.addOutcomes + ` ON CONFLICT (key) DO UPDATE SET refusal = EXCLUDED.refusal, recorded_at = EXCLUDED.recorded_at, body = EXCLUDED.body`
	for _, statement := range []*string{
		&q.setUp, &q.lock, &q.evict, &q.last, &q.tails, &q.known, &q.ends, &q.addEvents, &q.setTree, &q.addNodes, &q.permit, &q.setHashes, &q.hashes, &q.tree, &q.nodes, &q.archived, &q.lockArchived, &q.emptyEvents, &q.moveArchived, &q.vacuum, &q.standing,
		&q.addOutcomes, &q.setOutcomes, &q.addBatch, &q.notify, &q.findBatch,
		&q.head, &q.stream, &q.feed, &q.positionAt, &q.outcome, &q.outcomes, &q.checkpoint, &q.checkpoints, &q.saveCheckpoint, &q.lease, &q.release, &q.snapshot, &q.saveSnapshots,
		&q.listen, &q.forgetBatches, &q.forgetRefusals, &q.migrationsTable,
	} {
		*statement = inSchema(*statement, schema)
	}
	return q
}

// inSchema puts the schema in the place of the usual one. A schema is a plain name, so it needs no quotes.
func inSchema(sql, schema string) string { return strings.ReplaceAll(sql, "daybook.", schema+".") }
