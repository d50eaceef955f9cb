package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long a server may take to make or remove a test's part of it.
const patience = 90 * time.Second

// PostgresDatabase creates an empty database on the shared server and returns its URL. It is dropped after the test, whoever is
// still connected to it.
func PostgresDatabase(t testing.TB) string {
	t.Helper()
	shared := Postgres(t)
	own, err := url.Parse(shared)
	if err != nil {
		t.Fatalf("%s is not a URL", variable(postgres)) // the error would show the password
	}
	name := "test_" + unique()
	own.Path = "/" + name
	execute(t, shared, "CREATE DATABASE "+name)
	t.Cleanup(func() { drop(t, shared, name) })
	return own.String()
}

func execute(t testing.TB, address, statement string) {
	t.Helper()
	if err := try(address, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func try(address, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// drop removes a database. The server's own cleaning of it cannot be ended by a user like this one, and is waited for.
func drop(t testing.TB, shared, name string) {
	t.Helper()
	const notAllowed = "42501"
	for began := time.Now(); ; {
		err := try(shared, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		var answered *pgconn.PgError
		if err == nil || time.Since(began) > patience || !errors.As(err, &answered) || answered.Code != notAllowed {
			if err != nil {
				t.Errorf("drop %s: %v", name, err)
			}
			return
		}
		<-time.After(time.Second)
	}
}

// RabbitPrefix returns a prefix for the names of exchanges and queues that no other test has, with a dot at its end. AMQP cannot
// list what exists, so nothing is deleted after the test: on the servers of scripts/servers a policy lets a queue of such a name
// expire when nobody has used it for 15 minutes, and an exchange without queues costs next to nothing.
func RabbitPrefix(t testing.TB) string {
	t.Helper()
	Rabbit(t)
	return "test-" + unique() + "."
}

// ElasticPrefix returns a prefix for the names of indices, aliases and templates that no other test has, with a dash at its end.
// What begins with it is deleted after the test.
func ElasticPrefix(t testing.TB) string {
	t.Helper()
	address := Elastic(t)
	prefix := "test-" + unique() + "-"
	t.Cleanup(func() {
		var indices []struct {
			Index string `json:"index"`
		}
		answer := elastic(t, http.MethodGet, address+"/_cat/indices/"+prefix+"*?expand_wildcards=all&format=json&h=index")
		if err := json.Unmarshal(answer, &indices); err != nil {
			t.Errorf("the list of indices is not JSON: %v", err)
		}
		for _, i := range indices { // one by one: the server refuses to delete by pattern
			elastic(t, http.MethodDelete, address+"/"+i.Index)
		}
		elastic(t, http.MethodDelete, address+"/_index_template/"+prefix+"*")
		elastic(t, http.MethodDelete, address+"/_component_template/"+prefix+"*")
	})
	return prefix
}

// elastic sends a request without a body and returns the answer's. What is not there need not be deleted.
func elastic(t testing.TB, method, address string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("ask Elasticsearch: %v", err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Errorf("read Elasticsearch's answer: %v", err)
	}
	if res.StatusCode >= http.StatusBadRequest && res.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s: %s\n%s", method, req.URL.Path, res.Status, body.String())
	}
	return body.Bytes()
}
