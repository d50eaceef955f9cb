package cluster

import (
	"testing"
	"time"

	"daybook/test/books"
)

// Soak holds what processes keep in memory against what there is to be kept, from one rest to the next, over many loads on one store.
// Its methods are called from the test's goroutine.
type Soak struct {
	head     int64 // of the store
	accounts int64 // that it holds
	lives    map[int]*life
}

// life is what was seen of a process since its first rest: what it held then and later, and how much there was to be kept.
type life struct {
	first, last Footprint
	head        int64
	accounts    int64
}

// Thrifty has a process collect garbage often, so that a rest is short. What is not garbage is the same.
const Thrifty = "GOGC=20"

// How the heap of a process may grow. Each account has an entry in the views in memory, and its state where commands are decided.
// Everything else is bounded: pools, buffers, blocks and tables of the embedded store that are in use. A process that keeps one KiB of
// each command it took in has passed that after so many events, of which half may be of another process.
const (
	heapSlack  = 3 << 20
	perAccount = 8 << 10
	leak       = 1 << 10
)

// Rest measures the processes. A load has just been checked, and these are its books.
func (s *Soak) Rest(t testing.TB, b *books.Books, limit time.Duration, programs ...*Program) {
	t.Helper()
	if s.lives == nil {
		s.lives = map[int]*life{}
	}
	s.head = b.Head
	s.accounts += int64(len(b.Accounts))
	for _, p := range programs {
		now := p.AtRest(t, limit)
		l := s.lives[p.Pid()]
		if l == nil {
			l = &life{first: now, head: s.head, accounts: s.accounts}
			s.lives[p.Pid()] = l
		}
		l.last = now
		if now.Heap > l.first.Heap+s.allowed(l) {
			t.Errorf("the heap of %s is not flat: it held %v, and %v after %d more events and %d more accounts", p.name, l.first, now, s.head-l.head, s.accounts-l.accounts)
		}
	}
}

// allowed is by how much a heap may have grown.
func (s *Soak) allowed(l *life) int64 { return heapSlack + (s.accounts-l.accounts)*perAccount }

// Told reports whether the processes have lived for long enough since their first rest that a leak would have been seen.
func (s *Soak) Told(programs ...*Program) bool {
	for _, p := range programs {
		l := s.lives[p.Pid()]
		if l == nil || s.missing(l) > 0 {
			return false
		}
	}
	return true
}

// missing is how many events there must be yet.
func (s *Soak) missing(l *life) int64 { return max(0, 5*s.allowed(l)/2/leak-(s.head-l.head)) }

// Missing is how many commands there must be until the processes have lived for long enough; zero before their first rest.
func (s *Soak) Missing(programs ...*Program) (commands int) {
	for _, p := range programs {
		if l := s.lives[p.Pid()]; l != nil {
			commands = max(commands, int(s.missing(l))+1000) // and for the accounts that will be there by then
		}
	}
	return commands
}

// Log tells how it was at the first and at the last rest.
func (s *Soak) Log(t testing.TB, programs ...*Program) {
	t.Helper()
	for _, p := range programs {
		l := s.lives[p.Pid()]
		t.Logf("%s: at its first rest %v; after %d more events and %d more accounts %v, after %d collections",
			p.name, l.first, s.head-l.head, s.accounts-l.accounts, l.last, l.last.Collected)
	}
}
