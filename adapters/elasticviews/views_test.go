package elasticviews_test

import (
	"flag"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"daybook/adapters/elasticviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/servers"
)

func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "25") // unless told otherwise: each makes an index, which takes a tenth of a second or more
	goleak.VerifyTestMain(m)
}

const accounts = "accounts"

func newRegistry(t testing.TB) *es.Registry {
	t.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	must(t, err)
	return registry
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// options are of a prefix of its own on the shared server.
func options(t testing.TB, r *es.Registry) elasticviews.Options {
	t.Helper()
	return elasticviews.Options{
		URL: servers.Elastic(t), Prefix: strings.TrimSuffix(servers.ElasticPrefix(t), "-"), Registry: r, Logf: t.Logf,
	}
}

// open gives views that are closed at the end of the test, before what they left on the server is deleted.
func open(t testing.TB, o elasticviews.Options) *elasticviews.Views {
	t.Helper()
	v, err := elasticviews.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

func TestTheViewsInElasticsearchKeepTheContract(t *testing.T) {
	contract.Views(t, func(t *testing.T, r *es.Registry) ports.Views { return open(t, options(t, r)) })
}

func TestViewsBuiltAgainHaveTheDigestsOfThoseThatFollowed(t *testing.T) {
	contract.Rebuilt(t, func(t *testing.T, r *es.Registry) ports.Views { return open(t, options(t, r)) })
}

func TestViewsOfAnotherStoreAreFilledAnew(t *testing.T) {
	contract.Restored(t, func(t *testing.T, r *es.Registry) ports.Views { return open(t, options(t, r)) })
}
