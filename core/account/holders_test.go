package account_test

import (
	"fmt"
	"testing"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/test/spec"
)

func TestHolders(t *testing.T) {
	tell(t, holders())
}

func addHolder(who string) spec.Action {
	return spec.Command("add-holder", "acc-1", spec.Fields{"holder": who})
}

func removeHolder(who string) spec.Action {
	return spec.Command("remove-holder", "acc-1", spec.Fields{"holder": who})
}

func added(who string) es.Event   { return account.HolderAdded{Holder: who} }
func removed(who string) es.Event { return account.HolderRemoved{Holder: who} }

func holders() []sentence {
	full := account1(created)
	for i := range 100 {
		full = full.And("acc-1", added(fmt.Sprintf("holder-%d", i)))
	}
	return []sentence{
		{"a holder is added", spec.Case{Given: account1(created), When: addHolder("Bob"), Then: account1(added("Bob"))}},
		{"a second holder is added", spec.Case{Given: account1(created, added("Bob")), When: addHolder("Eve"), Then: account1(added("Eve"))}},
		{"a holder is not added twice", spec.Case{Given: account1(created, added("Bob")), When: addHolder("Bob"), Fails: account.ErrAlreadyHolder}},
		{"the owner is no holder", spec.Case{Given: account1(created), When: addHolder("Ada"), Fails: account.ErrAlreadyHolder}},
		{"a holder who was removed is added again", spec.Case{
			Given: account1(created, added("Bob"), removed("Bob")), When: addHolder("Bob"), Then: account1(added("Bob"))}},
		{"the hundred and first holder is refused", spec.Case{Given: full, When: addHolder("Bob"), Fails: account.ErrTooManyHolders}},
		{"a holder of an unknown account is not found", spec.Case{When: addHolder("Bob"), Fails: account.ErrNotFound}},
		{"a closed account gets no holder", spec.Case{Given: account1(created, closed), When: addHolder("Bob"), Fails: account.ErrClosed}},

		{"a holder is removed", spec.Case{Given: account1(created, added("Bob"), added("Eve")), When: removeHolder("Bob"), Then: account1(removed("Bob"))}},
		{"a holder of a closed account is removed", spec.Case{Given: account1(created, added("Bob"), closed), When: removeHolder("Bob"), Then: account1(removed("Bob"))}},
		{"who is no holder cannot be removed", spec.Case{Given: account1(created, added("Eve")), When: removeHolder("Bob"), Fails: account.ErrNotAHolder}},
		{"who was removed cannot be removed again", spec.Case{
			Given: account1(created, added("Bob"), removed("Bob")), When: removeHolder("Bob"), Fails: account.ErrNotAHolder}},
		{"the owner cannot be removed", spec.Case{Given: account1(created), When: removeHolder("Ada"), Fails: account.ErrNotAHolder}},
		{"nobody is removed from an unknown account", spec.Case{When: removeHolder("Bob"), Fails: account.ErrNotFound}},
	}
}
