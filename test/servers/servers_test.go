package servers

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// outcome is a test inside a test: it notes how it ends.
type outcome struct {
	testing.TB

	skipped, failed string
	cleanups        []func()
}

func (o *outcome) Helper()          {}
func (o *outcome) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }
func (o *outcome) Skipf(format string, args ...any) {
	o.skipped = fmt.Sprintf(format, args...)
	panic(o)
}

func (o *outcome) Fatalf(format string, args ...any) {
	o.failed = fmt.Sprintf(format, args...)
	panic(o)
}

// observe runs a test to its end, its cleanups left out.
func observe(t *testing.T, test func(testing.TB)) (o *outcome) {
	t.Helper()
	o = &outcome{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(o) {
			panic(r)
		}
	}()
	test(o)
	return o
}

// cleanUp ends the test, last cleanup first.
func (o *outcome) cleanUp() {
	for i := len(o.cleanups) - 1; i >= 0; i-- {
		o.cleanups[i]()
	}
}

func TestWithoutItsVariableATestIsSkippedWithTheCommandToRun(t *testing.T) {
	t.Setenv("DAYBOOK_TEST_REQUIRE", "")
	for server, test := range map[string]func(testing.TB){
		"postgres":      func(t testing.TB) { PostgresDatabase(t) },
		"rabbitmq":      func(t testing.TB) { RabbitPrefix(t) },
		"elasticsearch": func(t testing.TB) { ElasticPrefix(t) },
	} {
		t.Setenv(variable(server), "")
		want := "SKIPPED: DAYBOOK_TEST_" + strings.ToUpper(server) +
			`_URL is not set: this needs a real server; run  eval "$(scripts/servers up ` + server + `)"`
		if o := observe(t, test); o.skipped != want || o.failed != "" {
			t.Errorf("skipped with %q, failed with %q", o.skipped, o.failed)
		}
		if o := observe(t, func(t testing.TB) { Private(t, server) }); o.skipped != want {
			t.Errorf("a private %s is not skipped: %+v", server, o)
		}
	}
}

func TestWithoutItsVariableATestFailsWhereTheServerIsRequired(t *testing.T) {
	t.Setenv("DAYBOOK_TEST_POSTGRES_URL", "")
	t.Setenv("DAYBOOK_TEST_RABBITMQ_URL", "")
	t.Setenv("DAYBOOK_TEST_REQUIRE", "elasticsearch,postgres")
	if o := observe(t, func(t testing.TB) { Postgres(t) }); o.skipped != "" || !strings.Contains(o.failed, "DAYBOOK_TEST_POSTGRES_URL") {
		t.Errorf("a required server was not missed: %+v", o)
	}
	if o := observe(t, func(t testing.TB) { Rabbit(t) }); o.failed != "" || o.skipped == "" {
		t.Errorf("a server that is not required was missed: %+v", o)
	}
}

func TestADatabaseIsEmptyAndGoneAfterItsTestThoughAConnectionIsOpen(t *testing.T) {
	var first string
	o := observe(t, func(t testing.TB) { first = PostgresDatabase(t) })
	second := PostgresDatabase(t)
	if first == second || first == Postgres(t) {
		t.Fatalf("%s and %s are not apart", first, second)
	}
	conn, err := pgx.Connect(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 0 {
		t.Fatalf("%d tables, %v", tables, err)
	}
	o.cleanUp()
	if _, err := pgx.Connect(t.Context(), first); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("the database is still there: %v", err)
	}
}

func TestWhatBeginsWithAnElasticPrefixIsGoneAfterItsTestAndNothingElse(t *testing.T) {
	address := Elastic(t)
	mine := ElasticPrefix(t)
	put(t, address+"/"+mine+"accounts", `{"aliases":{"`+mine+`alias":{}}}`)

	var theirs string
	o := observe(t, func(t testing.TB) { theirs = ElasticPrefix(t) })
	put(t, address+"/_index_template/"+theirs+"template", `{"index_patterns":["`+theirs+`*"]}`)
	put(t, address+"/"+theirs+"one", `{}`)
	put(t, address+"/"+theirs+"two", `{"settings":{"hidden":true}}`)
	o.cleanUp()

	left := string(elastic(t, http.MethodGet, address+"/_cat/indices/test-*?expand_wildcards=all&h=index"))
	if strings.Contains(left, theirs) || !strings.Contains(left, mine+"accounts") {
		t.Errorf("indices left: %s", left)
	}
	if left := string(elastic(t, http.MethodGet, address+"/_index_template/"+theirs+"template")); !strings.Contains(left, "not found") {
		t.Errorf("the template is still there: %s", left)
	}
}

func put(t *testing.T, address, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", address, res.Status)
	}
}

func TestARabbitPrefixIsOfOneTestAlone(t *testing.T) {
	if first, second := RabbitPrefix(t), RabbitPrefix(t); first == second || !strings.HasPrefix(first, "test-") {
		t.Errorf("%s and %s", first, second)
	}
}

func TestAPrivateServerStopsIsKilledAndComesBackWithItsDataAtTheSameAddress(t *testing.T) {
	p := Private(t, "postgres")
	if p.URL() == Postgres(t) {
		t.Fatal("the private server is the shared one")
	}
	execute(t, p.URL(), "CREATE TABLE kept AS SELECT 1")
	for name, end := range map[string]func(){"stop": p.Stop, "kill": p.Kill} {
		before := p.URL()
		end()
		if _, err := pgx.Connect(t.Context(), p.URL()); err == nil {
			t.Fatalf("after %s the server still answers", name)
		}
		p.Start()
		p.Start()
		if p.URL() != before {
			t.Errorf("after %s: %s instead of %s", name, p.URL(), before)
		}
		execute(t, p.URL(), "INSERT INTO kept VALUES (2)")
	}
}

// The test process of this test is another one, which dies with a private server running.
func TestAPrivateServerEndsWithATestProcessThatIsKilled(t *testing.T) {
	const inside = "DAYBOOK_TEST_DIE_INSIDE"
	if os.Getenv(inside) != "" {
		fmt.Println("URL=" + Private(t, "postgres").URL())
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		t.Fatal(self.Kill())
	}
	Postgres(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.Output()
	_, rest, found := strings.Cut(string(out), "URL=")
	if err == nil || !found {
		t.Fatalf("%v\n%s", err, out)
	}
	address, _, _ := strings.Cut(rest, "\n")
	for deadline := time.Now().Add(patience); ; {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			return
		}
		_, err = conn.Exec(t.Context(), "SELECT pg_sleep(30)") // ends early with the server
		conn.Close(t.Context())
		if err == nil || time.Now().After(deadline) {
			t.Fatal("the server outlives its test")
		}
	}
}

func TestPrivateServersOfEachKindRunBesideTheSharedOnes(t *testing.T) {
	for _, server := range []string{"rabbitmq", "elasticsearch"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			p := Private(t, server)
			at, err := url.Parse(p.URL())
			if err != nil || p.URL() == address(t, server) {
				t.Fatalf("%s, %v", p.URL(), err)
			}
			dial := func() error {
				conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at.Host)
				if err != nil {
					return err
				}
				return conn.Close()
			}
			if err := dial(); err != nil {
				t.Error(err)
			}
			p.Kill()
			if err := dial(); err == nil {
				t.Error("it still answers after it was killed")
			}
		})
	}
}
