package engine

import (
	"context"
	"errors"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// asking is who asks in ctx; nil: nobody has said, and there is nobody to take for them.
func (o *Options) asking(ctx context.Context) *access.Principal {
	if p := access.Of(ctx); p != nil {
		return p
	}
	return o.Anonymous
}

// may asks the policy how far whoever asks may go with an operation.
func (o *Options) may(ctx context.Context, op access.Operation) (access.Grant, error) {
	return o.asking(ctx).Grant(op)
}

// mayRead sees that whoever asks may read an aggregate, by its state as it is now. To everybody else it does not exist.
func (e *Engine) mayRead(ctx context.Context, m *es.Module, id string) error {
	grant, err := e.may(ctx, access.Read)
	if err != nil {
		return err
	}
	return e.covers(ctx, m, grant, es.Folded{Stream: m.Stream(id)}, since{})
}

// covers sees that a grant is for an aggregate as it is now. f is its state as of any time before, and read what is known since.
func (e *Engine) covers(ctx context.Context, m *es.Module, grant access.Grant, f es.Folded, read since) error {
	if grant.Reach == access.All {
		return nil
	}
	err := e.snapshots.foldNow(ctx, &f, read)
	switch {
	case unasked(err):
		return err
	case m.Granted(grant, f.State): // what could be folded is enough to know them
		return nil
	case f.Version == 0:
		return notFound(m)
	}
	return notFound(m).Because(access.ErrForbidden) // which the audit log is told, and nobody else
}

// unasked reports whether the store could not be asked for a stream, of which nothing is known then. One that only a later build can
// read to its end is known as far as this one can.
func unasked(err error) bool {
	return fault.KindOf(err) == fault.Unavailable && !errors.Is(err, ErrLaterBuild)
}

// mayReadEvent sees that whoever asks may read the aggregate of an event.
func (e *Engine) mayReadEvent(ctx context.Context, r *es.Recorded) error {
	grant, err := e.may(ctx, access.Read)
	if err != nil || grant.Reach == access.All {
		return err
	}
	m := e.Registry.ModuleOf(r.Stream)
	if m == nil {
		return ErrNoEvent
	}
	if err = e.mayRead(ctx, m, m.ID(r.Stream)); fault.KindOf(err) == fault.NotFound {
		err = ErrNoEvent.Because(err)
	}
	return err
}

// grants is how far whoever gave a command may go.
type grants struct {
	do, read access.Grant
	refused  error // none of their roles may do it
	blind    bool  // they may not read the stream it was sent to, which is there
	bound    bool  // by Limits: they use what is theirs, and not everybody's
}

func grantsOf(p *access.Principal, c *es.Command) (g grants) {
	if g.do, g.refused = p.Grant(c.Type.Needs); g.refused != nil {
		return g
	}
	g.read, _ = p.Grant(access.Read) // without that they read nothing
	use, _ := p.Grant(access.Use)
	g.bound = use.Reach < access.All
	for i := range c.Type.Fields {
		f := &c.Type.Fields[i]
		if f.Needs == "" || !c.Gives(i) {
			continue
		}
		if grant, err := p.Grant(f.Needs); err != nil || grant.Reach < access.All {
			g.refused = access.ErrForbidden.Say("Your roles do not allow you to give %s.", f.Name)
		}
	}
	return g
}

// admit holds a job against the policy, on the states under the lock. Of a stream that they may neither read nor use, whoever asks
// gets the answers that they would if it did not exist: the rule is shown no state of it.
func (j *job) admit(f *es.Facts) error {
	m, to := j.Command.Module, &f.States[0]
	if j.grants.read.Reach == access.All && j.grants.do.Reach == access.All || to.Version == 0 {
		return nil
	}
	j.grants.blind = !m.Granted(j.grants.read, to.State)
	switch {
	case j.grants.blind && j.DryRun && j.grants.do.Reach == access.All: // or it could be tried how much has room
		return access.ErrForbidden.Say("A dry run tells how the %s stands: it is for those who may read it.", m.Noun)
	case m.Granted(j.grants.do, to.State), j.Command.Type.Creates: // who creates is judged by what comes of it
		return nil
	case !j.grants.blind:
		return access.ErrForbidden.Say("Your roles do not allow this on this %s.", m.Noun)
	}
	j.grants.blind, j.grants.do.Reach = false, access.None
	*to = es.Folded{Stream: to.Stream}
	f.Referred = nil
	return nil
}

// admitResult holds what a command has made of its stream against the policy.
func (j *job) admitResult(after *es.Folded) error {
	m := j.Command.Module
	switch {
	case j.grants.do.Reach == access.None: // it was decided as if the stream did not exist
		return notFound(m)
	case j.Command.Type.Creates && !m.Granted(j.grants.do, after.State):
		return access.ErrForbidden.Say("You may create what is your own only: the owner must be %q.", j.grants.do.Subject)
	}
	return nil
}

// noted is a refusal with its true reason, which the audit log is told and nobody else: the stream is there, and another's. Whatever
// else is wrong with the command, it could never have been accepted.
func (j *job) noted(err error) error {
	if j.grants.refused == nil && j.grants.do.Reach == access.None && fault.KindOf(err) != fault.Internal {
		return fault.Of(err).Because(access.ErrForbidden)
	}
	return err
}

// shown is an answer as whoever asks may see it: of a stream that they may not read, the position of what they did is all.
func (j *job) shown(a Answer, after *es.Folded) Answer {
	switch {
	case j.Command.Module.Granted(j.grants.read, after.State):
		return a
	case len(a.Events) == 0:
		return Answer{}
	}
	return Answer{Position: a.Position}
}

// discreet is a refusal as whoever asks may see it: where it tells how a stream stands that they may not read, they are told that it
// was refused, and no more.
func (j *job) discreet(f *es.Facts, err error) error {
	about, refusal := es.Tells(err)
	blind := j.grants.blind
	if about > 0 && about < len(f.States) {
		blind = f.States[about].Version > 0 && !j.Command.Module.Granted(j.grants.read, f.States[about].State)
	}
	if !blind {
		return refusal
	}
	switch kind := fault.KindOf(refusal); {
	case kind == fault.Rejected, kind == fault.Conflict && !j.Command.Type.Creates:
		return ErrNotAccepted
	}
	return refusal
}

// Reached refuses a position that the store does not have yet.
func (e *Engine) Reached(ctx context.Context, p es.Position) error {
	if _, err := e.may(ctx, access.Read); err != nil {
		return err
	}
	return e.reached(ctx, p)
}

func (e *Engine) reached(ctx context.Context, p es.Position) error {
	head, err := e.Store.Head(ctx)
	if err == nil && p > head {
		err = ErrPositionAhead.Say("The store's last event has position %d; there is no position %d yet.", head, p)
	}
	return err
}

// Backup copies the store, if that is one which can be copied, into a directory that does not exist yet; else it is
// ports.ErrBackupElsewhere.
func (e *Engine) Backup(ctx context.Context, dir string) (ports.Backup, error) {
	if _, err := e.may(ctx, access.Backup); err != nil {
		return ports.Backup{}, err
	}
	store, ok := e.Store.(ports.BackupStore)
	if !ok {
		return ports.Backup{}, ports.ErrBackupElsewhere
	}
	return store.Backup(ctx, dir)
}
