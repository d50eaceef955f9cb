package pgstore_test

import (
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Feed gives a Watermill subscriber to the events of Daybook. Each consumer group gets every event once it has been
// committed, in order, at least once: the next one comes when the one before it was acked.
func Feed(pool *pgxpool.Pool, group string, logger watermill.LoggerAdapter) (message.Subscriber, error) {
	return sql.NewSubscriber(sql.BeginnerFromPgx(pool), sql.SubscriberConfig{
		ConsumerGroup:    group,
		SchemaAdapter:    events{batch: 500},
		OffsetsAdapter:   offsets{},
		PollInterval:     100 * time.Millisecond, // the delay at the most when nothing came for a while
		InitializeSchema: true,
	}, logger)
}

// events reads the table of Daybook; the topic is its schema, usually "daybook".
type events struct{ batch int }

// SelectQuery reads on after the position that the group has acked. Positions follow the order of commits, so none is skipped.
func (e events) SelectQuery(p sql.SelectQueryParams) (sql.Query, error) {
	next, err := p.OffsetsAdapter.NextOffsetQuery(sql.NextOffsetQueryParams{Topic: p.Topic, ConsumerGroup: p.ConsumerGroup})
	return sql.Query{Args: next.Args, Query: `WITH last AS MATERIALIZED (` + next.Query + `)
		SELECT position, stream_id, version, type, schema, effective_at, recorded_at, data, metadata FROM ` + p.Topic + `.events
		WHERE position > (SELECT position FROM last) ORDER BY position LIMIT ` + strconv.Itoa(e.batch)}, err
}

// UnmarshalMessage makes a message of a row: data is the payload, all else is metadata. The id of a redelivered event is the same.
func (events) UnmarshalMessage(p sql.UnmarshalMessageParams) (sql.Row, error) {
	var row sql.Row
	var version int64
	var schema int
	var stream, kind string
	var data, metadata []byte
	var effectiveAt, recordedAt time.Time
	if err := p.Row.Scan(&row.Offset, &stream, &version, &kind, &schema, &effectiveAt, &recordedAt, &data, &metadata); err != nil {
		return row, err
	}
	row.Payload, row.Metadata = data, metadata
	row.Msg = message.NewMessage("evt-"+strconv.FormatInt(row.Offset, 10), data)
	if err := json.Unmarshal(metadata, &row.Msg.Metadata); err != nil { // principal, commandId, correlationId, traceparent, …
		return row, err
	}
	for name, value := range map[string]string{
		"name":        kind, // where Watermill's cqrs looks for the type
		"aggregateId": stream, "version": strconv.FormatInt(version, 10), "position": strconv.FormatInt(row.Offset, 10), "schema": strconv.Itoa(schema),
		"timestamp": effectiveAt.UTC().Format(time.RFC3339Nano), "recordedAt": recordedAt.UTC().Format(time.RFC3339Nano),
	} {
		row.Msg.Metadata.Set(name, value)
	}
	return row, nil
}

func (events) InsertQuery(sql.InsertQueryParams) (sql.Query, error) {
	return sql.Query{}, errors.New("events are written by Daybook: send it a command")
}

func (events) SchemaInitializingQueries(sql.SchemaInitializingQueriesParams) ([]sql.Query, error) {
	return nil, nil // the table is Daybook's
}

func (events) SubscribeIsolationLevel() stdsql.IsolationLevel { return stdsql.LevelReadCommitted }

// offsets keeps how far each group has got in a table of the service's own. The row is locked while a batch is handled: of
// several processes of one group, one reads and the others wait.
type offsets struct{}

func (offsets) SchemaInitializingQueries(sql.OffsetsSchemaInitializingQueriesParams) ([]sql.Query, error) {
	return []sql.Query{{Query: `CREATE TABLE IF NOT EXISTS follower_offsets (consumer_group text PRIMARY KEY, position bigint NOT NULL)`}}, nil
}

func (offsets) BeforeSubscribingQueries(p sql.BeforeSubscribingQueriesParams) ([]sql.Query, error) {
	return []sql.Query{{Query: `INSERT INTO follower_offsets VALUES ($1, 0) ON CONFLICT DO NOTHING`, Args: []any{p.ConsumerGroup}}}, nil
}

func (offsets) NextOffsetQuery(p sql.NextOffsetQueryParams) (sql.Query, error) {
	return sql.Query{Query: `SELECT position FROM follower_offsets WHERE consumer_group = $1 FOR UPDATE`, Args: []any{p.ConsumerGroup}}, nil
}

func (offsets) AckMessageQuery(p sql.AckMessageQueryParams) (sql.Query, error) {
	return sql.Query{Query: `UPDATE follower_offsets SET position = $1 WHERE consumer_group = $2`, Args: []any{p.LastRow.Offset, p.ConsumerGroup}}, nil
}

func (offsets) ConsumedMessageQuery(sql.ConsumedMessageQueryParams) (sql.Query, error) {
	return sql.Query{}, nil
}
