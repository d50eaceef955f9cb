package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func (c *Config) checkUnits() []string {
	var problems []string
	seen := map[string]bool{}
	for _, u := range c.Units {
		switch {
		case !unitCode.MatchString(u.Code):
			problems = append(problems, fmt.Sprintf("units: the code %q must be 2 to 12 of A-Z and 0-9, starting with a letter", u.Code))
		case isoDigits(u.Code) >= 0:
			problems = append(problems, fmt.Sprintf("units: %q is a currency of ISO 4217 already", u.Code))
		case seen[u.Code]:
			problems = append(problems, fmt.Sprintf("units: %q is declared twice", u.Code))
		case u.Digits < 0 || u.Digits > 9:
			problems = append(problems, fmt.Sprintf("units: %q has %d digits; 0 to 9 are possible", u.Code, u.Digits))
		}
		seen[u.Code] = true
	}
	return problems
}

// prefixForm is what both RabbitMQ and Elasticsearch take as the beginning of a name.
var prefixForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// originForm is what can name a key in a note.
var originForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._/-]{0,99}$`)

// checkDrivers says what the drivers that were chosen still need. It shows no URL, which may hold a password.
func (c *Config) checkDrivers() (problems []string) {
	for _, need := range [...]struct{ driver, chosen, key, value, example string }{
		{"postgres", c.Store.Driver, "store.postgres.url", c.Store.Postgres.URL, "postgres://user:password@host/daybook"},
		{"rabbitmq", c.Bus.Driver, "bus.rabbitmq.url", c.Bus.RabbitMQ.URL, "amqp://user:password@host/vhost"},
		{"elasticsearch", c.Views.Driver, "views.elasticsearch.url", c.Views.Elasticsearch.URL, "http://host:9200"},
	} {
		if need.chosen == need.driver && need.value == "" {
			problems = append(problems, fmt.Sprintf("%s: %s needs it, such as %s", need.key, need.driver, need.example))
		}
	}
	if c.Archive.URL != "" && c.Store.Driver == "memory" {
		problems = append(problems, "archive.url: store.driver memory forgets everything when the process ends, so nothing can be moved out of it; choose another store")
	}
	if !originForm.MatchString(c.Seal.Origin) {
		problems = append(problems, fmt.Sprintf("seal.origin: %q must be 1 to 100 of a-z, 0-9 and . _ - /, starting with a letter or digit", c.Seal.Origin))
	}
	for name, prefix := range map[string]string{"bus.rabbitmq.prefix": c.Bus.RabbitMQ.Prefix, "views.elasticsearch.prefix": c.Views.Elasticsearch.Prefix} {
		if !prefixForm.MatchString(prefix) {
			problems = append(problems, fmt.Sprintf("%s: %q must be 1 to 40 of a-z, 0-9 and - or _, starting with a letter", name, prefix))
		}
	}
	return problems
}

// checkRoles says where work would be left to another process that cannot share the parts of this one.
func (c *Config) checkRoles() (problems []string) {
	var missing []string
	for _, role := range []string{RoleAPI, RoleRelay, RoleProject} {
		if !slices.Contains(c.Roles, role) {
			missing = append(missing, role)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	left := strings.Join(missing, " and ")
	if c.Store.Driver != "postgres" {
		problems = append(problems, fmt.Sprintf("roles: %s would be left to another process, but store.driver %s belongs to one process; run all roles here, or choose postgres", left, c.Store.Driver))
	}
	if c.Bus.Driver == "memory" {
		problems = append(problems, fmt.Sprintf("roles: %s would be left to another process, which bus.driver memory does not reach; run all roles here, or choose rabbitmq", left))
	}
	return problems
}
