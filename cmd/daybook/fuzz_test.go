package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"daybook/adapters/notary"
	"daybook/core/es"
)

// FuzzProof shows any document as a proof: it proves nothing but that the one event is in the ledger that was signed.
func FuzzProof(f *testing.F) {
	at := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	e := es.Recorded{Stream: "a", Version: 1, Position: 2, Type: "Happened", Schema: 1, EffectiveAt: at, RecordedAt: at, Data: []byte(`{"n":1}`), Metadata: []byte(`{}`)}
	e.Seal(nil, es.Hash{})
	beside := es.Hash{1}
	var tree es.Tree
	tree.Add(beside, nil)
	tree.Add(e.Hash, nil)
	n, err := notary.New("daybook")
	if err != nil {
		f.Fatal(err)
	}
	checkpoint := es.Checkpoint{Origin: n.Origin(), Size: 2, Root: tree.Root(), At: at}
	note, err := n.Sign(checkpoint.Text())
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"event": string(e.JSON()), "previousHash": es.Hash{}.String(), "path": []string{beside.String()}, "checkpoint": note})
	if err != nil {
		f.Fatal(err)
	}
	if p, err := readProof(text, n.Public()); err != nil || p.Check() != nil {
		f.Fatalf("a proof that holds is refused: %v, %v", err, p.Check())
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := readProof(text, n.Public()); err == nil && p.Check() == nil && !bytes.Equal(p.Event.JSON(), e.JSON()) {
			t.Errorf("%s is proven", p.Event.JSON())
		}
		if p, err := readProof(text, ""); err == nil {
			_ = p.Check() // who signed it is not known
		}
	})
}
