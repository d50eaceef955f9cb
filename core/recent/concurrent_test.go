package recent

import (
	"sync"
	"testing"
)

func TestItHoldsWhatWasUsedLatelyAndNeverMoreThanItHasRoomFor(t *testing.T) {
	m := NewShared[int, int](20)
	m.Put(-1, -1)
	for i := range 1000 {
		m.Put(i, i)
		if _, ok := m.Get(-1); !ok {
			t.Fatalf("what is used all the time was forgotten after %d others", i)
		}
		if held := m.held.Held(); held > 20 {
			t.Fatalf("it holds %d", held)
		}
	}
	if _, ok := m.Get(5); ok {
		t.Error("what nobody uses stays for ever")
	}
	if v, ok := m.Get(999); !ok || v != 999 {
		t.Errorf("the last one is %d, %t", v, ok)
	}
	m.Clear()
	if _, ok := m.Get(999); ok {
		t.Error("cleared, it still has values")
	}
}

func TestAValueIsMadeOnceForAllWhoAskAtOnce(t *testing.T) {
	m, made := NewShared[string, int](20), 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { m.GetOr("a", func() int { made++; return made }) })
	}
	all.Wait()
	if v, _ := m.Get("a"); v != 1 || made != 1 {
		t.Errorf("it was made %d times and is %d", made, v)
	}
}
