package books

import (
	"cmp"
	"slices"
)

// pin gives what was taken its turn, and narrows the times between which ops happened by what is known of their order, so that
// porcupine has fewer orders to try: what was taken happened in the order of positions, and who saw a version looked after that and
// before the next. No order is lost by it. It gives false if some op is left without any time.
func (b *Books) pin(ops []*Op) bool {
	var taken, read []*Op
	for _, op := range ops {
		switch {
		case op.Read != nil:
			read = append(read, op)
		case op.Commands[0].Became == Taken:
			taken = append(taken, op)
		}
	}
	slices.SortFunc(taken, func(a, b *Op) int { return cmp.Compare(a.position(), b.position()) })
	for i, op := range taken {
		op.turn = i
	}
	wrote := b.writers(taken)
	for _, r := range read {
		if before := wrote[place{r.Read.Account, r.Read.Version}]; before != nil {
			before.Answered = min(before.Answered, r.Answered)
		}
		if after := wrote[place{r.Read.Account, r.Read.Version + 1}]; after != nil {
			after.Called = max(after.Called, r.Called)
		}
	}
	for i := 1; i < len(taken); i++ {
		taken[i].Called = max(taken[i].Called, taken[i-1].Called)
	}
	for i := len(taken) - 2; i >= 0; i-- {
		taken[i].Answered = min(taken[i].Answered, taken[i+1].Answered)
	}
	for _, r := range read {
		if before := wrote[place{r.Read.Account, r.Read.Version}]; before != nil {
			r.Called = max(r.Called, before.Called)
		}
		if after := wrote[place{r.Read.Account, r.Read.Version + 1}]; after != nil {
			r.Answered = min(r.Answered, after.Answered)
		}
	}
	return !slices.ContainsFunc(ops, func(op *Op) bool { return op.Called > op.Answered })
}

// position is where the op's last event is.
func (op *Op) position() int64 { return op.Commands[len(op.Commands)-1].Position }

// place is one version of an account.
type place struct {
	account string
	version int64
}

// writers are the ops that wrote each version of each account.
func (b *Books) writers(taken []*Op) map[place]*Op {
	by := map[place]*Op{}
	for _, op := range taken {
		for _, c := range op.Commands {
			for _, e := range b.ByCommand[c.Key] {
				by[place{e.AggregateID, e.Version}] = op
			}
		}
	}
	return by
}
