package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// archiveLease is the lease of whoever adds to the archive.
const archiveLease = "archive"

// fullNode is how many events a node of level 1 of the tree is over: an archive holds whole ones.
const fullNode = 1 << es.TreeStride

// Archive starts to move the events recorded before a time to the archive, and returns at once. ctx bounds the work, so it must outlive
// the request that asked for it. The last events of the store stay, as do those that a follower of the feed, or a view, has not taken;
// without names checkpoints of followers that there are no more. One archival runs at a time, in all processes: else it is
// ErrArchiveRunning. Whatever breaks it off, no event is lost or there twice, and the next one goes on there.
func (e *Engine) Archive(ctx context.Context, before time.Time, without []string) (Operation, error) {
	if _, err := e.may(ctx, access.Archive); err != nil {
		return Operation{}, err
	}
	switch {
	case e.Options.Archive == nil:
		return Operation{}, ErrNoArchive
	case e.SnapshotEvery == 0:
		return Operation{}, ErrArchiveUnbacked
	}
	return e.operations.start(OperationArchive, ErrArchiveRunning, func(tell func(func(*Operation))) (err error) {
		busy := e.try(ctx, archiveLease, func(ctx context.Context, _ ports.Token) {
			a := archival{Engine: e, tell: tell}
			err = a.run(ctx, before, without)
		})
		if errors.Is(busy, ports.ErrLeaseHeld) {
			return ErrArchiveRunning
		}
		if err = errors.Join(busy, err); err == nil {
			return nil
		}
		e.Observer.Failed("archive events", err)
		return errors.New(fault.Of(err).Msg)
	})
}

// archival moves events to the archive. It is used once.
type archival struct {
	*Engine
	tell func(func(*Operation))
}

// run moves a segment after the other: first its streams get snapshots, then it is added to the archive, and only then forgotten.
func (a *archival) run(ctx context.Context, before time.Time, without []string) error {
	upTo, heldBack, err := a.bound(ctx, before, without)
	if err != nil {
		return err
	}
	at, err := a.Store.Archived(ctx)
	if err != nil {
		return err
	}
	for at < upTo {
		a.tell(func(op *Operation) { op.Position, op.Head = at, upTo })
		if at, err = a.segment(ctx, at, upTo); err != nil {
			return err
		}
	}
	a.tell(func(op *Operation) { op.Position, op.Head, op.HeldBack = at, at, heldBack })
	return nil
}

// bound is up to where events may be moved, and why those that follow stay although they are old enough.
func (a *archival) bound(ctx context.Context, before time.Time, without []string) (upTo es.Position, heldBack string, err error) {
	upTo, err = a.Store.PositionAt(ctx, before.Add(-time.Microsecond))
	if err != nil {
		return 0, "", err
	}
	head, err := a.Store.Head(ctx)
	if err != nil || head == 0 {
		return 0, "", err
	}
	followers, err := a.followers(ctx, without)
	if err != nil {
		return 0, "", err
	}
	if upTo >= head {
		upTo, heldBack = head-1, "the last events always do"
	}
	for _, name := range slices.Sorted(maps.Keys(followers)) {
		if at := followers[name]; at < upTo {
			upTo, heldBack = at, fmt.Sprintf("%s has come to position %d", name, at)
		}
	}
	return upTo - upTo%fullNode, heldBack, nil
}

// followers gives how far everybody is who takes the feed.
func (a *archival) followers(ctx context.Context, without []string) (map[string]es.Position, error) {
	kept, err := a.Store.Checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]es.Position{a.relay().name: kept[a.relay().name]}
	for i := range a.Reactors {
		name := a.Reactors[i].follower(a.Engine).name
		all[name] = kept[name]
	}
	for name, at := range kept {
		if strings.HasPrefix(name, relayPrefix) || strings.HasPrefix(name, reactorPrefix) {
			all[name] = at
		}
	}
	progress, err := a.Views.Progress(ctx)
	if err != nil {
		return nil, err
	}
	all["the projector of the views"] = progress.Checkpoint
	if progress.Beside > 0 {
		all["the rebuild of the views"] = progress.Beside
	}
	for _, name := range without {
		delete(all, name)
	}
	return all, nil
}

// segment moves the events after a position, as many as make a segment, and gives the position of the last of them.
func (a *archival) segment(ctx context.Context, after, upTo es.Position) (es.Position, error) {
	end, err := a.Options.Archive.End(ctx)
	if err != nil {
		return after, err
	}
	to := min(upTo, after+ports.ArchiveSegment)
	if end > after { // a crash, or an older copy of the store, left them in both
		to = min(to, end)
	}
	events, err := a.read(ctx, after, to)
	if err != nil {
		return after, err
	}
	if err := a.keepStates(ctx, events); err != nil {
		return after, err
	}
	if end > after {
		err = a.same(ctx, events)
	} else {
		// gofail: var beforeArchiveUpload struct{}
		err = a.Options.Archive.Add(ctx, events)
	}
	if err != nil {
		return after, err
	}
	// gofail: var afterConfirmBeforePurge struct{}
	if err := a.Store.Forget(ctx, to); err != nil {
		return after, err
	}
	a.snapshots.archived.Raise(to)
	return to, nil
}

// read gives the events after one position up to another, and sees that they are those that the store was sealed over.
func (a *archival) read(ctx context.Context, after, to es.Position) ([]es.Recorded, error) {
	events := make([]es.Recorded, 0, to-after)
	for at := after; at < to; at = after + es.Position(len(events)) {
		page, err := a.Store.ReadFeed(ctx, at, int(min(movePage, to-at)))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return nil, ports.ErrSealBroken.Say("The event at position %d is missing; nothing was archived from there on. daybook verify says more.", at+1)
		}
		events = append(events, page...)
	}
	sealed, err := a.Store.TreeNodes(ctx, 1, uint64(after)/fullNode, len(events)/fullNode)
	if err != nil {
		return nil, err
	}
	var nodes []es.TreeNode
	for node := range slices.Chunk(events, fullNode) {
		var tree es.Tree
		for i := range node {
			nodes = tree.Add(node[i].Hash, nodes)
		}
		if n := len(nodes); n > len(sealed) || nodes[n-1].Hash != sealed[n-1] {
			return nil, ports.ErrSealBroken.Say("The events from position %d to %d are not those that the store was sealed over; nothing was archived from there on. daybook verify says more.",
				node[0].Position, node[len(node)-1].Position)
		}
	}
	return events, nil
}

// same sees that the archive has the very same events already.
func (a *archival) same(ctx context.Context, events []es.Recorded) error {
	for page := range slices.Chunk(events, movePage) {
		at := make([]es.Position, len(page))
		for i := range page {
			at[i] = page[i].Position
		}
		archived, err := a.Options.Archive.Read(ctx, at)
		if err != nil {
			return err
		}
		for i := range page {
			if !bytes.Equal(archived[i].JSON(), page[i].JSON()) {
				return ports.ErrArchiveDamaged.Say("The archive holds another event at position %d than the store: it is the archive of another ledger, or was altered. Nothing was forgotten.", at[i])
			}
		}
	}
	return nil
}

// keepStates sees that each stream has a snapshot at the last of its events, so that its state can be had without them.
func (a *archival) keepStates(ctx context.Context, events []es.Recorded) error {
	ends := map[es.StreamID]es.Position{}
	for i := range events {
		ends[events[i].Stream] = events[i].Position
	}
	var states []es.Folded
	for _, stream := range slices.Sorted(maps.Keys(ends)) {
		if !a.Registry.KeepsSnapshots(stream) {
			continue
		}
		kept, err := a.Store.Snapshot(ctx, stream, ends[stream])
		if err != nil {
			return err
		}
		if kept != nil && kept.Position == ends[stream] {
			continue
		}
		f := es.Folded{Stream: stream}
		if err := a.snapshots.fold(ctx, &f, ends[stream]); err != nil {
			return err
		}
		if states = append(states, f); len(states) == snapshotBatch {
			if err := a.snapshots.save(ctx, states); err != nil {
				return err
			}
			states = nil
		}
	}
	return a.snapshots.save(ctx, states)
}
