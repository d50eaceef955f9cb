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

func TestTheViewsInMemoryKeepTheContract(t *testing.T) {
	contract.Views(t, func(_ *testing.T, r *es.Registry) ports.Views { return memviews.New(r) })
}

func TestViewsBuiltAgainHaveTheDigestsOfThoseThatFollowed(t *testing.T) {
	contract.Rebuilt(t, func(_ *testing.T, r *es.Registry) ports.Views { return memviews.New(r) })
}
