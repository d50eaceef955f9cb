package memviews_test

import (
	"testing"

	"go.uber.org/goleak"

	"daybook/adapters/memviews"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inMemory(_ *testing.T, r *es.Registry) ports.Views { return memviews.New(r) }

func kept(t *testing.T, r *es.Registry) ports.Views {
	v, err := memviews.Open(memviews.Options{Registry: r, Dir: t.TempDir(), Failed: func(what string, err error) { t.Error(what, err) }})
	must(t, err)
	return v
}

func TestTheViewsInMemoryKeepTheContract(t *testing.T) {
	t.Run("kept nowhere", func(t *testing.T) { contract.Views(t, inMemory) })
	t.Run("kept in a file", func(t *testing.T) { contract.Views(t, kept) })
}

func TestViewsBuiltAgainHaveTheDigestsOfThoseThatFollowed(t *testing.T) {
	t.Run("kept nowhere", func(t *testing.T) { contract.Rebuilt(t, inMemory) })
	t.Run("kept in a file", func(t *testing.T) { contract.Rebuilt(t, kept) })
}

func TestViewsOfAnotherStoreAreFilledAnew(t *testing.T) { contract.Restored(t, inMemory) }
