package cluster

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"daybook/test/books"
)

// Path is where a command is sent, below /v1/accounts/.
func Path(c *books.Command) string { return c.Account + "/" + c.Verb }

// Data is a command's fields.
func Data(c *books.Command) string {
	switch c.Verb {
	case "create":
		return `{"owner":"Ada Lovelace","currency":"EUR"}`
	case "transfer":
		return fmt.Sprintf(`{"to":%q,"amount":%d}`, c.To, c.Amount)
	}
	return fmt.Sprintf(`{"amount":%d}`, c.Amount)
}

// Load is what a number of clients send, and what they were told. A client sends a command again, with its key, until it knows
// what became of it; some give up where they were told that nothing happened.
type Load struct {
	Name     string // what its keys and accounts begin with, where it is not the first on its store
	After    int64  // the position of the last event before it
	Clients  int
	Accounts int
	Pace     time.Duration // between an answer and the next command, at the most
	Patience time.Duration // how long a client waits for an answer
	Seed     uint64
	Targets  func() []string // where clients may send to; called from any goroutine

	t    testing.TB
	stop context.CancelFunc
	all  sync.WaitGroup

	begun time.Time

	mu      sync.Mutex
	final   map[string]Final
	history []books.Op
	spell   Spell
}

// Final is how a command ended: what the client was told last.
type Final struct {
	books.Command
	Answer  *Answer
	Retried bool // more than once sent
}

// Spell is what clients saw for some time.
type Spell struct {
	Taken   int
	Kinds   map[string]int // of answers other than success
	Silence time.Duration  // the longest time in which no command was taken
	Slowest time.Duration  // the longest that any one took to be answered, well or badly

	Views   map[string]int // how it went to read an account from a view
	History map[string]int // and from its events
	Reading time.Duration  // the longest that took

	last time.Time
}

func newSpell() Spell {
	return Spell{Kinds: map[string]int{}, Views: map[string]int{}, History: map[string]int{}, last: time.Now()}
}

func (s Spell) String() string {
	return fmt.Sprintf("%d taken, longest time without: %.2fs, slowest answer: %.2fs, others: %v; views: %v, history: %v, slowest: %.2fs",
		s.Taken, s.Silence.Seconds(), s.Slowest.Seconds(), s.Kinds, s.Views, s.History, s.Reading.Seconds())
}

// hot is the account that gets a third of everything.
const hot = 0

// Start opens the accounts and lets the clients send until Stop.
func (l *Load) Start(t testing.TB) {
	t.Helper()
	or(&l.Clients, 8)
	or(&l.Accounts, 20)
	or(&l.Pace, 40*time.Millisecond)
	or(&l.Patience, 15*time.Second)
	l.t, l.final, l.history, l.spell, l.begun = t, map[string]Final{}, nil, newSpell(), time.Now()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l.stop = cancel
	t.Cleanup(l.Stop)
	random := rand.New(rand.NewPCG(l.Seed, 0))
	for n := range l.Accounts {
		l.carry(ctx, random, books.Command{Key: fmt.Sprint(l.Name, "create-", n), Account: l.account(n), Verb: "create"})
		l.carry(ctx, random, books.Command{Key: fmt.Sprint(l.Name, "fill-", n), Account: l.account(n), Verb: "deposit", Amount: 200})
	}
	l.readers(ctx)
	for c := range l.Clients {
		l.all.Go(func() {
			random := rand.New(rand.NewPCG(l.Seed, uint64(c)+1))
			for n := 0; ctx.Err() == nil; n++ {
				l.carry(ctx, random, l.random(random, fmt.Sprintf("%s%d-%d", l.Name, c, n)))
				Pass(ctx, rand.N(l.Pace))
			}
		})
	}
}

// readers read the first account from a view and from its history, over and over, from any process.
func (l *Load) readers(ctx context.Context) {
	for query, kinds := range map[string]func(*Spell) map[string]int{
		"":     func(s *Spell) map[string]int { return s.Views },
		asItIs: func(s *Spell) map[string]int { return s.History },
	} {
		l.all.Go(func() {
			for ctx.Err() == nil {
				targets := l.Targets()
				one, end := context.WithTimeout(ctx, l.Patience)
				called := time.Since(l.begun)
				var a books.Account
				how := read(one, targets[rand.IntN(len(targets))]+"/v1/accounts/"+l.account(hot)+query, &a)
				end()
				if ctx.Err() != nil {
					return
				}
				answered := time.Since(l.begun)
				l.mu.Lock()
				kinds(&l.spell)[how]++
				l.spell.Reading = max(l.spell.Reading, answered-called)
				if query == asItIs && how == wasRead {
					seen := &books.Reading{Account: a.ID, Version: a.Version, Balance: a.Balance, Status: a.Status}
					l.history = append(l.history, books.Op{Called: int64(called), Answered: int64(answered), Read: seen})
				}
				l.mu.Unlock()
				Pass(ctx, l.Pace)
			}
		})
	}
}

// asItIs asks for an account as it is now by its history, of which the store alone is asked.
const asItIs = "?at=9999-12-31T23:59:59Z"

func or[N int | time.Duration](value *N, otherwise N) {
	if *value == 0 {
		*value = otherwise
	}
}

// account is the name of one.
func (l *Load) account(n int) string { return fmt.Sprintf("%sacc-%03d", l.Name, n) }

// random is any command.
func (l *Load) random(random *rand.Rand, key string) books.Command {
	pick := func() int {
		if random.IntN(3) == 0 {
			return hot
		}
		return random.IntN(l.Accounts)
	}
	c := books.Command{Key: key, Account: l.account(pick()), Amount: 1 + random.Int64N(100)}
	switch roll := random.IntN(10); {
	case roll < 4:
		c.Verb = "deposit"
	case roll < 7 || l.Accounts == 1:
		c.Verb = "withdraw"
	default:
		c.Verb, c.To = "transfer", l.account(pick())
	}
	return c
}

// Stop ends the load when each client knows what became of its last command. It may be called again.
func (l *Load) Stop() {
	l.stop()
	l.all.Wait()
}

// settleWithin is how long a client goes on with a command after the load was ended.
const settleWithin = time.Minute

// carry sends a command until it is settled.
func (l *Load) carry(ctx context.Context, random *rand.Rand, c books.Command) {
	deadline, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(settleWithin, cancel) })
	defer stop()
	maybe := false // it may have happened
	called := time.Since(l.begun)
	for attempt := 0; ; attempt++ {
		targets := l.Targets()
		one, end := context.WithTimeout(deadline, l.Patience)
		began := time.Now()
		a := Post(one, targets[random.IntN(len(targets))], Path(&c), Data(&c), c.Key)
		end()
		l.note(a, time.Since(began))
		if problem := a.Improper(); problem != "" {
			l.t.Errorf("%s was answered %d %s: %s", Path(&c), a.Status, a.Body, problem)
		}
		giveUp := c.Verb != "create" && random.IntN(3) == 0
		switch {
		case a.Taken(), a.Refused():
			l.remember(called, Final{c, a, attempt > 0})
			return
		case a.Unknown():
			maybe = true
		case a.Status != 0 && a.Status != http.StatusServiceUnavailable:
			l.t.Errorf("%s %s was answered %d %s", c.Key, Path(&c), a.Status, a.Body)
			return
		case giveUp && !maybe:
			l.Settle(Final{c, a, attempt > 0})
			return
		}
		if !Pass(deadline, time.Duration(20+random.IntN(50))*time.Millisecond) {
			l.t.Errorf("what became of %s could not be found out: %+v", c.Key, a)
			return
		}
	}
}

// remember notes how a command ended that was sent for the first time then.
func (l *Load) remember(called time.Duration, f Final) {
	l.Settle(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	op := books.Op{Called: int64(called), Answered: int64(time.Since(l.begun)), Commands: []books.Told{f.told()}}
	l.history = append(l.history, op)
}

func (l *Load) note(a *Answer, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.spell.Slowest = max(l.spell.Slowest, took)
	switch {
	case a.Taken():
		l.spell.Silence = max(l.spell.Silence, now.Sub(l.spell.last))
		l.spell.last = now
		l.spell.Taken++
	case !a.Refused():
		l.spell.Kinds[a.Kind()]++
	}
}

// Settle notes how a command ended.
func (l *Load) Settle(f Final) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, twice := l.final[f.Key]; twice {
		l.t.Errorf("the key %s was used twice by the test", f.Key)
	}
	l.final[f.Key] = f
}

// Forget drops what clients did, of a load that was stopped and checked.
func (l *Load) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.final, l.history = nil, nil
}

// Mark begins a spell.
func (l *Load) Mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spell = newSpell()
}

// Spell is what happened since Mark.
func (l *Load) Spell() Spell {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spell
	s.Kinds, s.Views, s.History = maps.Clone(s.Kinds), maps.Clone(s.Views), maps.Clone(s.History)
	s.Silence = max(s.Silence, time.Since(s.last))
	return s
}

// Await waits until so many more commands were taken, of whatever client, and gives how long that took.
func (l *Load) Await(t testing.TB, more int, limit time.Duration) time.Duration {
	t.Helper()
	l.mu.Lock()
	before := l.spell.Taken
	l.mu.Unlock()
	return Within(t, limit, "commands are taken", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.spell.Taken < before+more {
			return fmt.Errorf("%d of %d: %v", l.spell.Taken-before, more, l.spell)
		}
		return nil
	})
}

// Finals are all commands that were settled.
func (l *Load) Finals() map[string]Final {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.final
}

// History is what clients did and what they were answered, and when: what is held to be linearizable. What had no effect for want of a
// server is left out.
func (l *Load) History() []books.Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.history)
}
