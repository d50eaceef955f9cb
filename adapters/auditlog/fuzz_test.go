package auditlog

import (
	"testing"

	"daybook/core/es"
	"daybook/core/fault"
)

// FuzzEntry shows any event of the access ledger, as a key's or as an entry: it is damage, or shown with its place.
func FuzzEntry(f *testing.F) {
	f.Add(Type, []byte(`{"action":"message","outcome":"unauthenticated","target":"m"}`), []byte(`{"principal":"eve"}`))
	f.Add("KeyCreated", []byte(`{"prefix":"abcdefgh","subject":"till","roles":["teller"],"hash":"AAAA"}`), []byte(`{"principal":"local"}`))
	f.Add("KeyRevoked", []byte(`null`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, kind string, data, metadata []byte) {
		entry, err := entryOf(&es.Recorded{Position: 17, Type: kind, Data: data, Metadata: metadata})
		if err != nil {
			if fault.KindOf(err) != fault.Internal {
				t.Error(err)
			}
			return
		}
		if entry.Position != 17 || kind != Type && entry.Action != kind {
			t.Errorf("got %+v", entry)
		}
	})
}
