package deploy

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"daybook/app"
)

// settings reads the configuration as Daybook does in compose: its command with the mounted file, and its variables.
func settings(t *testing.T, s service) (app.Config, map[string]string) {
	t.Helper()
	mounts := map[string]string{}
	for _, volume := range s.Volumes {
		source, rest, _ := strings.Cut(volume, ":")
		target, _, _ := strings.Cut(rest, ":")
		mounts[target] = filepath.Join(root, source)
	}
	var words []string
	for _, word := range s.Command {
		if source, ok := mounts[word]; ok {
			word = source
		}
		words = append(words, word)
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	app.Flags(flags)
	if err := flags.Parse(words[1:]); err != nil {
		t.Fatal(err)
	}
	if flag := flags.Lookup("config"); !flag.Changed || !strings.HasPrefix(flag.Value.String(), root) {
		t.Fatalf("the command %v names no file that is mounted", s.Command)
	}
	var environ []string
	for name, value := range s.Environment {
		environ = append(environ, name+"="+value)
	}
	c, all, err := app.Load(flags, environ)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, s := range all {
		if text, ok := s.Value.(string); ok {
			values[s.Name] = text
		}
	}
	return c, values
}

func TestComposeRunsTheProductionConfiguration(t *testing.T) {
	_, values := settings(t, readCompose(t).Services["daybook"])
	for name, want := range map[string]string{"store.driver": "postgres", "bus.driver": "rabbitmq", "views.driver": "elasticsearch"} {
		if values[name] != want {
			t.Errorf("%s is %q", name, values[name])
		}
	}
}

func TestComposePublishesWhereDaybookListens(t *testing.T) {
	daybook := readCompose(t).Services["daybook"]
	c, _ := settings(t, daybook)
	published := map[string]bool{}
	for _, port := range daybook.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s is open to the network", port)
		}
		published[port[strings.LastIndex(port, ":")+1:]] = true
	}
	if !published[portOf(t, c.HTTP.Addr)] || !published[portOf(t, c.Admin.Addr)] || len(published) != 2 {
		t.Errorf("compose publishes %v, Daybook listens on %s and %s", daybook.Ports, c.HTTP.Addr, c.Admin.Addr)
	}
	if file := daybook.Environment["DAYBOOK_CONFIG"]; !slices.Equal(daybook.Command, []string{"serve", "--config", file}) || !slices.Contains(daybook.Healthcheck.Test, "--own") {
		t.Errorf("Daybook runs as %v, and %v looks for it with the configuration %q", daybook.Command, daybook.Healthcheck.Test, file)
	}
}

func TestDaybookFindsEachServerOfComposeUnderItsNameAndPort(t *testing.T) {
	services := readCompose(t).Services
	_, values := settings(t, services["daybook"])
	for name, s := range map[string]struct{ key, user, password, database string }{
		"postgres":      {"store.postgres.url", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
		"rabbitmq":      {"bus.rabbitmq.url", "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "RABBITMQ_DEFAULT_VHOST"},
		"elasticsearch": {"views.elasticsearch.url", "", "", ""},
	} {
		u, err := url.Parse(values[s.key])
		if err != nil {
			t.Fatalf("%s: %v", s.key, err)
		}
		if u.Hostname() != name || u.Port() != healthPort(t, services[name].Healthcheck.Test) {
			t.Errorf("%s looks for %s at %s, whose health check is %v", s.key, name, u.Host, services[name].Healthcheck.Test)
		}
		theirs := services[name].Environment
		password, _ := u.User.Password()
		if u.User.Username() != theirs[s.user] || password != theirs[s.password] || strings.TrimPrefix(u.Path, "/") != theirs[s.database] {
			t.Errorf("%s does not have the user, password and name that %s is given", s.key, name)
		}
	}
}
