// Package bench holds what Daybook's speed is measured against: the least that any event-sourced ledger on the same store must
// do. It writes the rows that adapters/pebblestore writes, byte for byte of the same size, one synced batch at a time, and
// leaves out everything else: rules, retries, views, messages, checks. Nothing of Daybook may use it.
package bench

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
)

// Deposit is one command on its way through a Ledger. The last three members are its answer.
type Deposit struct {
	Account   string
	Amount    int64
	RequestID string
	Key       string // of its outcome; none is written when it is empty

	Version  es.Version
	Position es.Position
	Balance  int64
}

// Ledger writes deposits. It is used by one goroutine.
type Ledger struct {
	db       *pebble.DB
	accounts map[string]*standing
	head     es.Position
	last     time.Time

	key, buffer, data, meta []byte // used again for every event
}

// standing is how far one account is.
type standing struct {
	version es.Version
	balance int64
}

// Open makes an empty ledger in a directory that does not exist or is empty, with the memory that Daybook gives Pebble.
func Open(dir string) (*Ledger, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		Logger: quiet{}, FormatMajorVersion: pebble.FormatTableFormatV6, ErrorIfExists: true,
		CacheSize: 64 << 20, MemTableSize: 16 << 20, MemTableStopWritesThreshold: 4,
	})
	return &Ledger{db: db, accounts: map[string]*standing{}}, err
}

// quiet keeps Pebble from talking about its every step.
type quiet struct{ pebble.Logger }

func (quiet) Infof(string, ...any)                   {}
func (quiet) Errorf(format string, args ...any)      { pebble.DefaultLogger.Errorf(format, args...) }
func (quiet) Fatalf(format string, args ...any)      { pebble.DefaultLogger.Fatalf(format, args...) }
func (quiet) Eventf(context.Context, string, ...any) {}
func (quiet) IsTracingEnabled(context.Context) bool  { return false }

// Close ends all use.
func (l *Ledger) Close() error { return l.db.Close() }

// Commit writes deposits in one durable batch and fills in their answers.
func (l *Ledger) Commit(deposits []*Deposit) error {
	batch := l.db.NewBatch()
	for _, d := range deposits {
		acc := l.accounts[d.Account]
		if acc == nil {
			acc = &standing{}
			l.accounts[d.Account] = acc
		}
		acc.version++
		acc.balance += d.Amount
		l.head++
		now := time.Now().UTC().Truncate(time.Microsecond)
		if earliest := l.last.Add(time.Microsecond); now.Before(earliest) {
			now = earliest
		}
		l.last = now
		d.Version, d.Position, d.Balance = acc.version, l.head, acc.balance
		if err := l.add(batch, d, now); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.Sync)
}

// add puts the rows of one deposit into a batch: the event by its position, its position by stream and version, and the outcome
// by its key.
func (l *Ledger) add(batch *pebble.Batch, d *Deposit, now time.Time) error {
	meta := es.Metadata{Principal: "local", CommandID: d.Key, RequestID: d.RequestID}
	l.meta = meta.AppendJSON(l.meta[:0])
	l.data = append(strconv.AppendInt(append(l.data[:0], `{"amount":`...), d.Amount, 10), '}')
	event := es.Recorded{
		Stream: es.StreamID(d.Account), Version: d.Version, Position: d.Position, Type: "MoneyDeposited", Schema: 1,
		EffectiveAt: now, RecordedAt: now,
		Data: l.data, Metadata: l.meta,
	}
	l.buffer = event.AppendJSON(l.buffer[:0])
	l.key = binary.BigEndian.AppendUint64(append(l.key[:0], 'e'), uint64(d.Position))
	if err := batch.Set(l.key, l.buffer, nil); err != nil {
		return err
	}
	l.key = append(append(append(l.key[:0], 's'), d.Account...), 0)
	l.key = binary.BigEndian.AppendUint64(l.key, uint64(d.Version))
	l.buffer = binary.BigEndian.AppendUint64(l.buffer[:0], uint64(d.Position))
	if err := batch.Set(l.key, l.buffer, nil); err != nil || d.Key == "" {
		return err
	}
	l.key = append(append(l.key[:0], "clocal/"...), d.Key...)
	l.buffer = appendOutcome(l.buffer[:0], d, now)
	return batch.Set(l.key, l.buffer, nil)
}

// appendOutcome appends what a retry would be answered from: the store's header, a fingerprint of the command, and the answer.
func appendOutcome(dst []byte, d *Deposit, now time.Time) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, 1, 0), uint64(now.UnixMicro()))
	dst = append(append(dst, 1), make([]byte, 16)...)
	dst = binary.AppendUvarint(dst, uint64(d.Version))
	dst = binary.AppendUvarint(dst, uint64(d.Position))
	dst = binary.AppendVarint(dst, d.Balance)
	dst = binary.AppendUvarint(dst, uint64(d.Version))
	dst = binary.AppendUvarint(dst, uint64(d.Position))
	return append(binary.AppendUvarint(dst, uint64(len("MoneyDeposited"))), "MoneyDeposited"...)
}
