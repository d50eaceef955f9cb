// Package deploy holds docker-compose.yml, the Dockerfile and configs/production.yaml against the code and against the servers
// that scripts/servers runs. It needs no container engine: it reads the files.
package deploy

import (
	"encoding/json"
	"go/version"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"daybook/app"
)

const root = "../.."

// compose is what these tests look at in docker-compose.yml.
type compose struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

// defaulted is how compose writes a variable of the user's with what it is otherwise.
var defaulted = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(defaulted.ReplaceAllString(read(t, "docker-compose.yml"), "$1")), &c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "rabbitmq", "elasticsearch", "daybook"} {
		if _, ok := c.Services[name]; !ok {
			t.Fatalf("docker-compose.yml has no service %s", name)
		}
	}
	return c
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find gives what the pattern's group matches in the file, and fails when it does not.
func find(t *testing.T, name, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(read(t, name))
	if m == nil {
		t.Fatalf("%s has nothing like %s", name, pattern)
	}
	return m[1]
}

func TestTheImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	module, image := find(t, "go.mod", `^go (\S+)$`), find(t, "Dockerfile", `^FROM golang:([0-9.]+)\S* AS build$`)
	if version.Lang("go"+module) != version.Lang("go"+image) {
		t.Errorf("the Dockerfile builds with Go %s, go.mod says %s", image, module)
	}
	if strings.Count(image, ".") == 2 && version.Compare("go"+image, "go"+module) < 0 {
		t.Errorf("the Dockerfile's Go %s is older than go.mod's %s", image, module)
	}
}

func TestTheImageIsStaticAndRunsWithoutRights(t *testing.T) {
	find(t, "Dockerfile", `^RUN (CGO_ENABLED=0) go build .* \./cmd/daybook`)
	find(t, "Dockerfile", `^FROM \S*(distroless/static)\S*$`)
	if user := find(t, "Dockerfile", `^USER (\d+):`); user == "0" {
		t.Error("the image runs as root")
	}
}

func TestTheImageAsksForItsHealthWhereItListens(t *testing.T) {
	var command, health []string
	for text, into := range map[string]*[]string{
		find(t, "Dockerfile", `^CMD (\[.*\])$`):      &command,
		find(t, "Dockerfile", `^  CMD (\[.*\])\s*$`): &health,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	// the health check reads the environment alone, so all settings must stand there
	if !slices.Equal(command, []string{"serve"}) || !slices.Equal(health, []string{"/usr/bin/daybook", "health", "--own"}) {
		t.Fatalf("the image runs %v and asks for its health with %v", command, health)
	}
	environ := strings.Fields(find(t, "Dockerfile", `^ENV (.*)$`))
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	app.Flags(flags)
	c, _, err := app.Load(flags, environ)
	if err != nil {
		t.Fatal(err)
	}
	asks, tls, err := app.Reach(c)
	if err != nil || tls != nil {
		t.Fatal(tls, err)
	}
	expose := find(t, "Dockerfile", `^EXPOSE (\d+)$`)
	if listens := portOf(t, c.HTTP.Addr); listens != expose || asks != "http://127.0.0.1:"+listens {
		t.Errorf("the image listens on %s, exposes %s and asks for its health at %s", listens, expose, asks)
	}
	if c.Auth.Mode != "required" {
		t.Error("the image lets everybody in")
	}
	if own := readCompose(t).Services["daybook"].Healthcheck.Test; !slices.Equal(own[1:], health) {
		t.Errorf("compose asks %v for Daybook's health, the image %v", own, health)
	}
}

// The context is a list of what to let in: a package that is not on it would be missing in the image alone.
func TestTheBuildContextHoldsEveryPackageOfTheBinary(t *testing.T) {
	var let []string
	for line := range strings.Lines(read(t, ".dockerignore")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			let = append(let, name)
		}
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}", "./cmd/daybook")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, pkg := range append(strings.Fields(string(out)), "daybook/go.mod", "daybook/go.sum") {
		top, _, _ := strings.Cut(strings.TrimPrefix(pkg, "daybook/"), "/")
		if !slices.Contains(let, top) {
			t.Errorf(".dockerignore keeps %s out", pkg)
		}
	}
}

func TestComposeRunsTheServersThatTestsRun(t *testing.T) {
	services := readCompose(t).Services
	tag := func(name string) string { _, tag, _ := strings.Cut(path.Base(services[name].Image), ":"); return tag }
	if tested := find(t, "scripts/servers.d/elasticsearch/pom.xml", `<es\.version>(.*)</es\.version>`); tag("elasticsearch") != tested {
		t.Errorf("compose has Elasticsearch %s, tests run with %s", tag("elasticsearch"), tested)
	}
	least, err := strconv.Atoi(find(t, "scripts/servers.d/postgres.sh", `^MINIMUM=(\d+)$`))
	if err != nil {
		t.Fatal(err)
	}
	if major, err := strconv.Atoi(tag("postgres")); err != nil || major < least {
		t.Errorf("compose has PostgreSQL %s, tests run with %d or newer", tag("postgres"), least)
	}
	if !regexp.MustCompile(`^3\.1[0-9]`).MatchString(tag("rabbitmq")) {
		t.Errorf("compose has RabbitMQ %s, tests run with 3.10 or a newer 3", tag("rabbitmq"))
	}
}

func TestDaybookWaitsForServersThatSayWhenTheyAreHealthy(t *testing.T) {
	services := readCompose(t).Services
	for name, s := range services {
		if len(s.Healthcheck.Test) < 2 || s.Healthcheck.Test[0] != "CMD" {
			t.Errorf("%s has no health check that needs no shell", name)
		}
		if name != "daybook" && services["daybook"].DependsOn[name].Condition != "service_healthy" {
			t.Errorf("daybook does not wait until %s is healthy", name)
		}
	}
}

func TestEachVolumeOfComposeExists(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(source, "./") {
				if _, ok := c.Volumes[source]; !ok {
					t.Errorf("%s mounts the volume %s, which is not declared", name, source)
				}
				continue
			}
			if info, err := os.Stat(filepath.Join(root, source)); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s mounts %s, which is no file: %v", name, source, err)
			}
		}
	}
}

// portOf is the port of host:port.
func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// healthPort is the port that a health check names: in a URL, as an option or as a word.
func healthPort(t *testing.T, test []string) string {
	t.Helper()
	for _, word := range test {
		if u, err := url.Parse(word); err == nil && u.Port() != "" {
			return u.Port()
		}
		word = strings.TrimPrefix(word, "--port=")
		if n, err := strconv.Atoi(word); err == nil && n > 1024 {
			return word
		}
	}
	t.Fatalf("%v names no port", test)
	return ""
}
