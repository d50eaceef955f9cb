package account

import (
	"slices"

	"daybook/core/es"
)

// maxHolders is how many holders an account may have: its documents stay small, and those who read it are few.
const maxHolders = 100

func decideAddHolder(d decision, c *addHolder) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	switch {
	case err != nil:
		return nil, err
	case a.Owner == c.Holder || slices.Contains(a.Holders, c.Holder):
		return nil, ErrAlreadyHolder
	case len(a.Holders) >= maxHolders:
		return nil, ErrTooManyHolders
	}
	return es.Emit(HolderAdded{c.Holder, c.Note}), nil
}

// decideRemoveHolder is for closed accounts too: holders read those as well.
func decideRemoveHolder(d decision, c *removeHolder) ([]es.Emitted, error) {
	switch {
	case !d.Exists(0):
		return nil, ErrNotFound
	case !slices.Contains(d.State(0).Holders, c.Holder):
		return nil, ErrNotAHolder
	}
	return es.Emit(HolderRemoved{c.Holder, c.Note}), nil
}
