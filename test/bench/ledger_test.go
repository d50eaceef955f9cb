package bench

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

// bulkBatch is how many events a busy NDJSON stream commits at once.
const bulkBatch = 1024

// BenchmarkBareLoop is the reference for NDJSON in bulk: batches of 1,024 deposits with random keys over 1,000 accounts, each
// synced before the next begins, in one process and one goroutine. One operation is one event.
func BenchmarkBareLoop(b *testing.B) {
	ledger, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close()
	random := rand.New(rand.NewPCG(1, 2))
	accounts := make([]string, 1000)
	for i := range accounts {
		accounts[i] = fmt.Sprintf("bench-%06d", i)
	}
	batch, key := make([]*Deposit, 0, bulkBatch), make([]byte, 8)
	b.ResetTimer()
	for done := 0; done < b.N; done += len(batch) {
		batch = batch[:0]
		for range min(bulkBatch, b.N-done) {
			binary.BigEndian.PutUint64(key, random.Uint64())
			batch = append(batch, &Deposit{
				Account: accounts[random.IntN(len(accounts))], Amount: 1,
				RequestID: "f70d817d9f07b143ca9711d2bdaff879", Key: hex.EncodeToString(key),
			})
		}
		if err := ledger.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func TestLedger(t *testing.T) {
	t.Run("counts versions by account and positions over all", func(t *testing.T) {
		ledger, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer ledger.Close()
		a, b, c := &Deposit{Account: "a", Amount: 5}, &Deposit{Account: "b", Amount: 7}, &Deposit{Account: "a", Amount: 1, Key: "k"}
		if err := ledger.Commit([]*Deposit{a, b, c}); err != nil {
			t.Fatal(err)
		}
		if a.Version != 1 || b.Version != 1 || c.Version != 2 || c.Position != 3 || c.Balance != 6 {
			t.Fatal(a, b, c)
		}
	})
}
