package engine

import (
	"fmt"
	"runtime/debug"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// working is the memory of one batch: the states its commands decide on, which move on with each command that is accepted,
// and what will be written. It is emptied and used again for the next batch.
type working struct {
	needs    ports.Needs
	slots    []slot // one per stream of needs
	slotOf   map[es.StreamID]int
	keyOf    map[string]int // into needs.Keys
	outcomes []keyed        // per key: what is known of it, durable or of this batch

	registry *es.Registry
	head     es.Position
	last     time.Time // recorded time of the last event
	now      time.Time
	batch    ports.Batch
	passed   []es.Folded // states of the batch that should get a snapshot
	commands int
	undo     []undo   // of the ticket being decided
	scratch  es.Facts // of the job being decided
}

// slot is one stream in a batch.
type slot struct {
	es.Folded
	err     error // it could not be loaded or read
	changed bool  // by an event of this batch
}

// keyed is what is known of a command's key.
type keyed struct {
	durable []byte // as the store keeps it
	twin    *job   // an earlier job of this batch
}

// undo is how to take back one step of an atomic ticket.
type undo struct {
	slot   int
	before slot
}

func (w *working) reset() {
	clear(w.slots)
	clear(w.batch.Events)
	clear(w.batch.Outcomes)
	clear(w.passed)
	*w = working{
		needs: ports.Needs{Streams: w.needs.Streams[:0], Keys: w.needs.Keys[:0]},
		slots: w.slots[:0], slotOf: w.slotOf, keyOf: w.keyOf, outcomes: w.outcomes[:0], undo: w.undo[:0], scratch: w.scratch,
		passed: w.passed[:0],
		batch:  ports.Batch{Events: w.batch.Events[:0], Outcomes: w.batch.Outcomes[:0]},
	}
	if w.slotOf == nil {
		w.slotOf, w.keyOf = map[es.StreamID]int{}, map[string]int{}
	}
	clear(w.slotOf)
	clear(w.keyOf)
}

func (w *working) has(id es.StreamID) bool {
	_, ok := w.slotOf[id]
	return ok
}

func (w *working) needStream(id es.StreamID, k known, err error) {
	w.slotOf[id] = len(w.slots)
	k.Stream = id
	w.slots = append(w.slots, slot{Folded: k.Folded, err: err})
	w.needs.Streams = append(w.needs.Streams, ports.StreamNeed{Stream: id, After: k.Version, Hash: k.Hash, At: k.at})
}

func (w *working) needKey(key string) {
	if _, ok := w.keyOf[key]; !ok {
		w.keyOf[key] = len(w.needs.Keys)
		w.needs.Keys = append(w.needs.Keys, key)
	}
}

// begin takes in what the store knows under its lock.
func (w *working) begin(r *es.Registry, known ports.Known, now time.Time) {
	w.registry, w.head, w.last, w.now = r, known.Head, known.LastRecordedAt, now
	for i, tail := range known.Tails {
		sl := &w.slots[i]
		for j := range tail {
			if sl.err != nil {
				break
			}
			if err := r.Fold(&sl.Folded, &tail[j]); err != nil {
				sl.err = unreadable(err)
			}
		}
	}
	for _, o := range known.Outcomes {
		k := keyed{}
		if o != nil {
			k.durable = o.Body
		}
		w.outcomes = append(w.outcomes, k)
	}
}

// decide gives every job of a ticket its result and adds what it writes to the batch.
func (s *sequencer) decide(t *Ticket) {
	w := &s.working
	w.undo = w.undo[:0]
	if !t.lane.admits(t.jobs[0].Key) {
		t.refuse(ErrBehindFailure)
		return
	}
	defer t.lane.settle(t)
	events, outcomes, passed, last := len(w.batch.Events), len(w.batch.Outcomes), len(w.passed), w.last
	for i := range t.jobs {
		j := &t.jobs[i]
		s.decideJob(j)
		if t.atomic && j.result.Err != nil {
			w.takeBack(t, i, events, outcomes)
			w.passed, w.last = w.passed[:passed], last
			return
		}
	}
}

// refuse gives every job of the ticket an error that rests on nothing.
func (t *Ticket) refuse(err error) {
	for i := range t.jobs {
		t.jobs[i].result, t.jobs[i].standing = Result{Err: err}, settled
	}
}

// takeBack removes all that an atomic ticket did before its job at refused said no.
func (w *working) takeBack(t *Ticket, refused, events, outcomes int) {
	for i := len(w.undo) - 1; i >= 0; i-- {
		w.slots[w.undo[i].slot] = w.undo[i].before
	}
	w.batch.Events, w.batch.Outcomes = w.batch.Events[:events], w.batch.Outcomes[:outcomes]
	for i := range t.jobs {
		j := &t.jobs[i]
		if j.standing == written {
			w.commands--
		}
		if k := w.known(j); k != nil && k.twin == j {
			k.twin = nil
		}
		if i != refused {
			j.result = Result{Err: ErrAtomicRefused}
		}
		j.standing = dependent
	}
}

func (w *working) known(j *job) *keyed {
	if j.storeKey == "" {
		return nil
	}
	return &w.outcomes[w.keyOf[j.storeKey]]
}

// decideJob gives one job its result. A key that is known is answered before anything else is looked at.
func (s *sequencer) decideJob(j *job) {
	w := &s.working
	k := w.known(j)
	switch {
	case k != nil && k.twin != nil:
		j.standing, j.result = dependent, k.twin.result
		j.result.Answer.Replayed = true
		if k.twin.fingerprint != j.fingerprint {
			j.result = Result{Err: ErrKeyMismatch}
		}
		return
	case k != nil && k.durable != nil && !(j.Again && refused(k.durable, j.fingerprint)):
		j.standing, j.result = settled, replay(k.durable, j.fingerprint)
		return
	case j.grants.refused != nil:
		j.standing, j.result = settled, Result{Err: j.grants.refused}
		return
	}
	facts, rests, err := w.facts(j)
	j.standing = rests
	var emitted []es.Emitted
	at := ports.NextTime(w.last, w.now)
	if err == nil {
		emitted, err = s.rule(j, facts, at)
	}
	if err == nil {
		err = w.accept(j, facts, emitted, at)
	}
	if j.standing == written {
		s.pass(facts)
	}
	if err != nil {
		j.result = Result{Err: j.noted(err)}
	}
	if k != nil && keeps(j) {
		k.twin = j
		w.batch.Outcomes = append(w.batch.Outcomes, ports.Outcome{
			Key: j.storeKey, Refusal: err != nil, RecordedAt: at, Body: encodeOutcome(j.fingerprint, &j.result),
		})
		j.standing = max(j.standing, dependent)
	}
}

// keeps reports whether a job's result is an answer to be given again: a success or a refusal by the rules.
func keeps(j *job) bool {
	if j.DryRun {
		return false
	}
	if j.result.Err == nil {
		return true
	}
	f := fault.Of(j.result.Err)
	switch f.Kind {
	case fault.NotFound, fault.Rejected:
		return true
	case fault.Conflict:
		return f.Code != ErrVersionMismatch.Code
	}
	return false
}

// facts gathers what the rule of a job looks at, and on what that rests.
func (w *working) facts(j *job) (*es.Facts, standing, error) {
	f := &w.scratch
	f.Streams, f.States, f.Referred = j.streams, f.States[:0], j.referred
	rests := settled
	for _, id := range j.streams {
		sl := &w.slots[w.slotOf[id]]
		if sl.err != nil {
			return nil, settled, sl.err
		}
		if sl.changed {
			rests = dependent
		}
		f.States = append(f.States, sl.Folded)
	}
	if err := j.admit(f); err != nil {
		return nil, rests, err
	}
	if j.unread != nil && j.grants.do.Reach != access.None {
		return nil, settled, j.unread
	}
	if r := f.Referred; r != nil && r.Version > f.States[0].Version {
		return nil, settled, ports.ErrStoreUnavailable.Say("The store has gone back and no longer has %s; nothing was done.", r.Position.EventID())
	}
	return f, rests, nil
}

// rule checks what holds for every command and runs the command's own rule. A rule that panics fails its command alone.
func (s *sequencer) rule(j *job, f *es.Facts, at time.Time) (emitted []es.Emitted, err error) {
	switch {
	case j.Expected != nil && j.grants.blind:
		return nil, ErrVersionMismatch.Say("Who may not read the account cannot expect it to be at a version.").Because(access.ErrForbidden)
	case j.Expected != nil && f.States[0].Version != *j.Expected:
		return nil, ErrVersionMismatch.Say("The account is at version %d, not %d.", f.States[0].Version, *j.Expected)
	case j.Command.Type.Effective(j.Command.Body).After(at):
		return nil, ErrEffectiveInFuture
	}
	f.At = es.Moment{Time: at, Position: s.working.head + es.Position(len(s.working.batch.Events)) + 1}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: the rule of %s panicked: %v\n%s", j.Command.Type.Name, p, debug.Stack())
		}
	}()
	if emitted, err = j.Command.Decide(f); err != nil {
		return nil, j.discreet(f, err)
	}
	return emitted, s.Limits.check(j, f, emitted, at)
}

// accept turns what a rule emitted into events of the batch and moves the working states on. On an error nothing moved.
func (w *working) accept(j *job, f *es.Facts, emitted []es.Emitted, at time.Time) error {
	effective := j.Command.EffectiveAt(f)
	answer := Answer{Version: f.States[0].Version, Position: f.States[0].Position}
	position := f.At.Position
	start := len(w.batch.Events)
	for _, em := range emitted {
		state := &f.States[em.Stream]
		data, schema, err := w.registry.Encode(make([]byte, 0, 64), em.Event)
		if err != nil {
			w.batch.Events = w.batch.Events[:start]
			return err
		}
		rec := es.Recorded{
			Stream: f.Streams[em.Stream], Version: state.Version + 1, Position: position, Type: em.Event.EventType(), Schema: schema,
			EffectiveAt: effective, RecordedAt: at, Data: data, Metadata: j.metadata,
		}
		if err := w.registry.FoldDecoded(state, &rec, em.Event); err != nil {
			w.batch.Events = w.batch.Events[:start]
			return err
		}
		if em.Stream == 0 {
			answer.Events = append(answer.Events, EventRef{rec.Type, rec.Version, rec.Position})
		}
		w.batch.Events = append(w.batch.Events, rec)
		answer.Position = position
		position++
	}
	answer.Version = f.States[0].Version
	if l := j.Command.Module.Ledger; l != nil {
		answer.Balance = l.Balance(f.States[0].State)
	}
	if err := j.admitResult(&f.States[0]); err != nil {
		w.batch.Events = w.batch.Events[:start]
		return err
	}
	j.result = Result{Answer: j.shown(answer, &f.States[0])}
	if j.DryRun {
		w.batch.Events = w.batch.Events[:start]
		return nil
	}
	if len(emitted) > 0 {
		w.moveOn(f, at)
		j.standing = written
		w.commands++
	}
	return nil
}

// pass notes which states after a command should get a snapshot.
func (s *sequencer) pass(f *es.Facts) {
	w := &s.working
	for i, u := range w.undo[len(w.undo)-len(f.Streams):] {
		if s.snapshots.due(u.before.Version, f.States[i].Version) {
			w.passed = append(w.passed, f.States[i])
		}
	}
}

// moveOn makes the states after a command those that the next one is decided on.
func (w *working) moveOn(f *es.Facts, at time.Time) {
	for i, id := range f.Streams {
		n := w.slotOf[id]
		w.undo = append(w.undo, undo{n, w.slots[n]})
		w.slots[n].Folded, w.slots[n].changed = f.States[i], true
	}
	w.last = at
}

// sealed gives the states of the batch the hashes that its events got when they were written.
func (w *working) sealed() {
	for i := range w.batch.Events {
		e := &w.batch.Events[i]
		w.slots[w.slotOf[e.Stream]].Hash = e.Hash
	}
	for i := range w.passed {
		f := &w.passed[i]
		f.Hash = w.batch.Events[f.Position-w.batch.Events[0].Position].Hash
	}
}
