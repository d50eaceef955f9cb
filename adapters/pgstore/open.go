package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/fault"
	"daybook/core/ports"
)

const (
	connectTimeout = 5 * time.Second // for one host
	minConns       = 4               // a writer, a listener, two readers
)

// errOptions: the store cannot be opened as it is configured.
var errOptions = fault.New(fault.Invalid, "store_options", "The settings of the store are wrong.")

// Open connects to the database, brings its tables up to this build, and starts to listen. Its errors are faults whose
// sentences name host and database and say what is wrong, never the password.
func Open(ctx context.Context, options Options) (*Store, error) {
	pool, err := options.check()
	if err != nil {
		return nil, err
	}
	s := &Store{
		options: options, place: placeOf(pool.ConnConfig), sql: queriesFor(options.Schema), config: pool.ConnConfig.Copy(),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.turn = ports.NewTurn(s.life)
	s.config.ConnectTimeout = connectTimeout
	if err := s.start(ctx, pool); err != nil {
		s.end()
		return nil, err
	}
	s.background.Go(s.follow)
	s.background.Go(s.prune)
	return s, nil
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// check fills in what was left out and reads the URL.
func (o *Options) check() (*pgxpool.Config, error) {
	if o.Schema == "" {
		o.Schema = "daybook"
	}
	if !plainName.MatchString(o.Schema) || strings.HasPrefix(o.Schema, "pg_") {
		return nil, errOptions.Say("%q cannot be the store's schema: use up to 40 of a-z, 0-9 and _, beginning with a letter.", o.Schema)
	}
	if o.UnitTimeout <= 0 {
		o.UnitTimeout = 5 * time.Second
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = 10 * time.Second
	}
	if o.settleWithin <= 0 {
		o.settleWithin = 10 * time.Second
	}
	if o.forgetStep <= 0 {
		o.forgetStep = forgetStep
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil { // pgx takes the password out as well as it can; words that hold none are safer
		return nil, errOptions.Say("The store's URL cannot be read; it looks like postgres://user:password@host:5432/database.")
	}
	if o.MaxConns == 0 {
		o.MaxConns = 10
		if strings.Contains(o.URL, "pool_max_conns") { // the pool's default depends on the machine
			o.MaxConns = int(config.MaxConns)
		}
	}
	config.MaxConns = int32(max(o.MaxConns, minConns) - 2)
	config.ConnConfig.ConnectTimeout = connectTimeout
	switch config.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe:
	default:
		return nil, errOptions.Say("The store's URL asks for default_query_exec_mode=%s: leave it out, or use cache_describe through a pooler.", config.ConnConfig.DefaultQueryExecMode)
	}
	if len(config.ConnConfig.Fallbacks) > 0 && config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "daybook"
	}
	return config, nil
}

// placeOf names the hosts and the database.
func placeOf(c *pgx.ConnConfig) string {
	hosts := []string{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))}
	for _, f := range c.Fallbacks {
		if h := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return fmt.Sprintf("database %q at %s", c.Database, strings.Join(hosts, ", "))
}

// start reaches the database and prepares it.
func (s *Store) start(ctx context.Context, pool *pgxpool.Config) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	var err error
	if s.readers, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		return s.failed(ctx, err)
	}
	if _, err := s.Head(ctx); err != nil {
		s.readers.Close()
		return err
	}
	if err := s.seal(ctx); err != nil {
		s.readers.Close()
		return err
	}
	return nil
}

// reach tries to connect, as long as that may help.
func (s *Store) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.StartTimeout)
	defer cancel()
	for try := 1; ; try++ {
		conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
		if err == nil {
			return conn.Close(ctx)
		}
		if !lost(err) || !s.pause(ctx, 250*time.Millisecond) {
			return s.unreachable(err, try)
		}
	}
}

// unreachable says why the database could not be connected to, after so many tries.
func (s *Store) unreachable(err error, tries int) error {
	f := s.failed(context.Background(), err)
	var known *pgconn.PgError
	if errors.As(err, &known) && !lost(err) {
		return f
	}
	return fault.Of(f).Say("The %s cannot be reached (%d tries in %s): %s. Is the server running, and are host and port right?",
		s.place, tries, s.options.StartTimeout, reason(err))
}

// pause waits for d; false means that the context ended or the store was closed.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.life.Done():
	}
	return false
}
