// Package servers gives tests the real servers that scripts/servers runs: PostgreSQL, RabbitMQ and Elasticsearch. A test takes
// the shared server of the environment and a part of it that is its own, or starts a private one that it may kill. Nothing is
// started unless the variable of that server is set; without it a test is skipped, or fails where the server is required.
package servers

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
)

// The servers, as scripts/servers calls them.
const (
	postgres      = "postgres"
	rabbitmq      = "rabbitmq"
	elasticsearch = "elasticsearch"
)

// require lists, with commas, the servers without which a test fails instead of being skipped.
const require = "DAYBOOK_TEST_REQUIRE"

// Postgres returns the URL of the shared PostgreSQL server's database, as DAYBOOK_TEST_POSTGRES_URL gives it. The database is
// everybody's: most tests want [PostgresDatabase].
func Postgres(t testing.TB) string {
	t.Helper()
	return address(t, postgres)
}

// Rabbit returns the AMQP URL of the shared RabbitMQ server with its vhost, as DAYBOOK_TEST_RABBITMQ_URL gives it. Whatever is
// declared there begins with a [RabbitPrefix].
func Rabbit(t testing.TB) string {
	t.Helper()
	return address(t, rabbitmq)
}

// Elastic returns the URL of the shared Elasticsearch server without a slash at its end, as DAYBOOK_TEST_ELASTICSEARCH_URL gives
// it. Whatever is stored there begins with an [ElasticPrefix].
func Elastic(t testing.TB) string {
	t.Helper()
	return strings.TrimSuffix(address(t, elasticsearch), "/")
}

// address is the server's URL; without one the test ends here.
func address(t testing.TB, server string) string {
	t.Helper()
	name := variable(server)
	if url := os.Getenv(name); url != "" {
		return url
	}
	words := name + ` is not set: this needs a real server; run  eval "$(scripts/servers up ` + server + `)"`
	if slices.Contains(strings.Split(os.Getenv(require), ","), server) {
		t.Fatalf("FAILED: %s (%s names it)", words, require)
	}
	t.Skipf("SKIPPED: %s", words)
	return ""
}

func variable(server string) string { return "DAYBOOK_TEST_" + strings.ToUpper(server) + "_URL" }

// unique is a word no other test has: lower case letters and digits, beginning with a letter.
func unique() string { return "t" + strings.ToLower(rand.Text()[:12]) }
