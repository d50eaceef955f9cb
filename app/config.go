package app

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Config is the whole configuration, checked. Default gives one that runs at once.
type Config struct {
	HTTP struct {
		Addr      string
		TLS       struct{ Cert, Key string }
		StopDelay int `mapstructure:"stop-delay"` // seconds
	}
	Admin struct{ Addr string }
	Store struct {
		Driver   string
		Pebble   struct{ Path string }
		Postgres struct{ URL string }
	}
	Bus struct {
		Driver   string
		RabbitMQ struct{ URL, Prefix string }
	}
	Views struct {
		Driver        string
		Memory        struct{ Path string }
		Elasticsearch struct{ URL, Prefix string }
	}
	Auth struct {
		Mode       string
		NeedReason bool `mapstructure:"require-reason"`
		OIDC       struct{ Issuer, Audience, Roles, Type string }
		JWKS       struct{ Path string }
	}
	Limits struct {
		Requests, Burst, Costly int
		CustomerCommand         int `mapstructure:"customer-command"`
		CustomerDay             int `mapstructure:"customer-day"`
	}
	InsecureAnonymous bool `mapstructure:"insecure-allow-anonymous"`
	BehindTLSProxy    bool `mapstructure:"behind-tls-proxy"`

	Snapshots struct{ Every int }
	Archive   struct{ URL string }
	Seal      struct{ Path, Origin string }
	Roles     []string
	Units     []Unit
	Log       struct{ Level, Format string }

	secretFiles []string // out of which settings were read
}

// Unit is what accounts may be kept in besides the currencies of ISO 4217: points, credits, energy.
type Unit struct {
	Code   string
	Digits int // after the decimal point, when an amount is shown to people
}

// Roles of a process.
const (
	RoleAPI      = "api"      // takes commands and queries over HTTP
	RoleRelay    = "relay"    // publishes the feed to the bus
	RoleProject  = "project"  // keeps the views up to date
	RoleMessages = "messages" // takes commands from the bus
)

var allRoles = []string{RoleAPI, RoleRelay, RoleProject, RoleMessages}

// key is one setting: its name in files and flags, what it is when nobody says otherwise, and what it may be.
type key struct {
	name    string
	value   any // the default; its type is the type of the setting
	doc     string
	allowed func() []string // nil: anything
}

// secret says that a setting may hold a password: it is shown without, and can be read from a file that a variable names.
func (k key) secret() bool { return strings.HasSuffix(k.name, ".url") }

// fileOnly says that a setting is a list of records, which flags and environment variables cannot carry.
func (k key) fileOnly() bool {
	_, ok := k.value.([]any)
	return ok
}

// env is the environment variable of a setting.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k.name))
}

const envPrefix = "DAYBOOK_"

// keys is the one table of settings: it makes flags, environment variables, defaults, checks, messages and documents.
func keys() []key {
	return []key{
		{"http.addr", "127.0.0.1:8080", "Where the API listens.", nil},
		{"http.tls.cert", "", "The file of the TLS certificate, in PEM, with those that vouch for it; a new one is taken up without a restart. It serves both listeners.", nil},
		{"http.tls.key", "", "The file of its private key.", nil},
		{"http.stop-delay", 0, "For how many seconds after SIGTERM requests are still answered, while /readyz says 503, so that a balancer turns elsewhere before this process is gone.", nil},
		{"admin.addr", "", "Where /metrics and pprof listen, for operators alone when that is no loopback address; empty: /metrics on the API's listener, for loopback clients only, and nowhere when auth.mode is required.", nil},
		{"auth.mode", authNone, "Who is let in: none asks nobody, which is for loopback addresses alone; required asks for an API key or a token.", func() []string { return []string{authNone, authRequired} }},
		{"auth.oidc.issuer", "", "Whose access tokens are taken beside API keys, such as https://login.example.com; its keys are found by OpenID discovery.", nil},
		{"auth.oidc.audience", "", "Whom those tokens must be made for (aud).", nil},
		{"auth.oidc.roles", "roles", "Which claim of a token holds the roles; dots lead into objects.", nil},
		{"auth.oidc.type", "at+jwt", "What a token's header must call it (typ), so that an ID token is not taken for an access token; JWT for issuers that call all of them so.", nil},
		{"auth.jwks.path", "", "A file with the issuer's keys (JWKS), instead of asking it; a changed one is taken up without a restart.", nil},
		{"auth.require-reason", false, "Whether privileged actions, and what auditors and operators read, need a reason in the header Audit-Reason.", nil},
		{"limits.requests", 0, "How many requests a second each principal may send over HTTP; 0: any number. A stream of commands is one.", nil},
		{"limits.burst", 0, "How many at once after a pause; 0: twice limits.requests.", nil},
		{"limits.costly", 0, "How many requests a minute, of those that take more than others, each principal may send: statements, searches, histories, feeds, proofs, exports, rebuilds, archivals, backups; 0: any number.", nil},
		{"limits.customer-command", 0, "The most that one command of a customer may move, in minor units of the account's currency; 0: no limit.", nil},
		{"limits.customer-day", 0, "The most that may leave an account on one day (UTC) by its owner and holders together, in minor units; 0: no limit.", nil},
		{"behind-tls-proxy", false, "A proxy in front does TLS, so plain HTTP may be served on an address that is not loopback.", nil},
		{"insecure-allow-anonymous", false, "Let everybody who can reach the listeners do everything, also from other machines and without TLS. It is said in the log each minute.", nil},
		{"store.driver", "pebble", "Where events are kept.", names(stores)},
		{"store.pebble.path", "./daybook-data", "The folder of the embedded store.", nil},
		{"store.postgres.url", "", "The database, such as postgres://user:password@host/daybook; several hosts are tried in turn.", nil},
		{"bus.driver", "memory", "How events and commands travel between processes.", names(buses)},
		{"bus.rabbitmq.url", "", "The broker, such as amqp://user:password@host/vhost.", nil},
		{"bus.rabbitmq.prefix", "daybook", "What the names of this ledger's exchanges and queues begin with.", nil},
		{"views.driver", "memory", "Where the documents of queries are kept.", names(views)},
		{"views.memory.path", "", "The folder in which views in memory are kept, so that a start need not fill them anew; empty: <store.pebble.path>.views beside the embedded store, else none; none: nowhere. It belongs to one process.", nil},
		{"views.elasticsearch.url", "", "The cluster, such as http://user:password@host:9200; several with commas between.", nil},
		{"views.elasticsearch.prefix", "daybook", "What the names of this ledger's indices begin with.", nil},
		{"roles", allRoles, "What this process does.", func() []string { return allRoles }},
		{"snapshots.every", 100, "After how many events of an account its state is kept, so that the past of a long one is found as fast as that of a short one; 0: never.", nil},
		{"archive.url", "", "Where old events are moved with `daybook archive`, such as file:///var/lib/daybook-archive or s3://bucket/folder?region=eu-north-1.", nil},
		{"seal.path", "", "The folder of the key that signs checkpoints and of those kept; empty: <store.pebble.path>.seal beside the embedded store, else a key that ends with the process. It belongs elsewhere than the events.", nil},
		{"seal.origin", "daybook", "What names this ledger in its checkpoints.", nil},
		{"units", []any{}, "What accounts may be kept in besides ISO 4217 currencies, such as {code: KWH, digits: 3}.", nil},
		{"log.level", "info", "The least grave message that is logged.", func() []string { return slices.Sorted(maps.Keys(logLevels)) }},
		{"log.format", "auto", "text for people, json for machines; auto: text on a terminal.", func() []string { return []string{"auto", "json", "text"} }},
	}
}

// Flags declares one flag per setting that a flag can carry.
func Flags(f *pflag.FlagSet) {
	f.String("config", "", "read settings from this YAML file")
	for _, k := range keys() {
		usage := k.doc
		if k.allowed != nil {
			usage += " (" + strings.Join(k.allowed(), ", ") + ")"
		}
		switch v := k.value.(type) {
		case string:
			f.String(k.name, v, usage)
		case int:
			f.Int(k.name, v, usage)
		case bool:
			f.Bool(k.name, v, usage)
		case []string:
			f.StringSlice(k.name, v, usage)
		}
	}
}

// Setting is one setting as it stands and where it came from.
type Setting struct {
	Name   string
	Value  any
	Origin string // default, environment variable DAYBOOK_…, flag --…, or file:line
	Doc    string
}

// ConfigError says everything that is wrong with a configuration, one problem a line.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string { return strings.Join(e.Problems, "\n") }

// Load reads the configuration: flags before environment before file before defaults. environ is like os.Environ.
// Its error is a *ConfigError that names each wrong key, where it stands and, where there is one, the nearest right key.
func Load(flags *pflag.FlagSet, environ []string) (Config, []Setting, error) {
	v := viper.New()
	var problems []string
	file, err := readFile(v, flags)
	if err != nil {
		return Config{}, nil, &ConfigError{[]string{err.Error()}}
	}
	problems = append(problems, file.unknown()...)
	problems = append(problems, unknownEnv(environ)...)
	vars := variables(environ)
	secrets, wrong := readSecrets(vars)
	problems = append(problems, wrong...)
	var settings []Setting
	for _, k := range keys() {
		s := Setting{Name: k.name, Value: k.value, Origin: "default", Doc: k.doc}
		v.SetDefault(k.name, k.value)
		if line, ok := file.lines[k.name]; ok {
			s.Value, s.Origin = v.Get(k.name), fmt.Sprintf("%s:%d", file.path, line)
		}
		if text, ok := vars[k.env()]; ok {
			s.Value, s.Origin = k.parse(text), "environment variable "+k.env()
			if k.fileOnly() {
				problems = append(problems, fmt.Sprintf("%s: %q is a list of records and can only be set in a file", s.Origin, k.name))
				continue
			}
			v.Set(k.name, s.Value)
		}
		if flag := flags.Lookup(k.name); flag != nil && flag.Changed {
			s.Origin = "flag --" + k.name
			if _, list := k.value.([]string); list {
				s.Value, _ = flags.GetStringSlice(k.name)
			} else {
				s.Value = k.parse(flag.Value.String())
			}
			v.Set(k.name, s.Value)
		}
		problems = append(problems, k.check(s)...)
		settings = append(settings, s)
	}
	var c Config
	if len(problems) == 0 {
		if err := v.UnmarshalExact(&c); err != nil {
			problems = append(problems, err.Error())
		} else {
			problems = append(problems, c.checkUnits()...)
			problems = append(problems, c.checkDrivers()...)
			problems = append(problems, c.checkRoles()...)
			problems = append(problems, c.checkAuth(settings)...)
			problems = append(problems, c.checkListeners()...)
		}
	}
	if len(problems) > 0 {
		return Config{}, settings, &ConfigError{problems}
	}
	c.secretFiles = secrets
	return c, settings, nil
}

// Default is the configuration when nothing is said, as a file, a flag or the environment may.
func Default() Config {
	c, _, _ := Load(pflag.NewFlagSet("", pflag.ContinueOnError), nil) // the defaults are right: a test says so
	return c
}

// parse turns the text of a variable or a flag into a value of the setting's type; one that it cannot be stays a text.
func (k key) parse(text string) any {
	switch k.value.(type) {
	case []string:
		return splitList(text)
	case int:
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// check says what is wrong with a setting's value.
func (k key) check(s Setting) []string {
	var values []string
	switch v := s.Value.(type) {
	case string:
		if _, text := k.value.(string); !text {
			return []string{fmt.Sprintf("%s: %q must be %s, not %q", s.Origin, k.name, k.shape(), v)}
		}
		values = []string{v}
	case []string:
		values = v
	case int:
		if _, number := k.value.(int); number && v >= 0 {
			return nil
		}
		return []string{fmt.Sprintf("%s: %q must be %s, not %d", s.Origin, k.name, k.shape(), v)}
	case bool:
		if _, yesNo := k.value.(bool); yesNo {
			return nil
		}
		return []string{fmt.Sprintf("%s: %q must be %s, not %t", s.Origin, k.name, k.shape(), v)}
	case []any:
		if k.fileOnly() {
			return nil
		}
		for _, x := range v {
			values = append(values, fmt.Sprint(x))
		}
	default:
		return []string{fmt.Sprintf("%s: %q must be %s, not %v", s.Origin, k.name, k.shape(), v)}
	}
	if _, list := k.value.([]string); list && len(values) == 0 {
		return []string{fmt.Sprintf("%s: %q must name at least one of %s", s.Origin, k.name, strings.Join(k.allowed(), ", "))}
	}
	if k.allowed == nil {
		return nil
	}
	var problems []string
	for _, v := range values {
		if !slices.Contains(k.allowed(), v) {
			problems = append(problems, fmt.Sprintf("%s: %q cannot be %q; it is one of %s%s", s.Origin, k.name, v, strings.Join(k.allowed(), ", "), hint(v, k.allowed())))
		}
	}
	return problems
}

func (k key) shape() string {
	switch k.value.(type) {
	case []string:
		return "a list of words"
	case []any:
		return "a list of records"
	case int:
		return "a whole number from 0 on"
	case bool:
		return "true or false"
	}
	return "a text"
}

// readFile reads the YAML file of --config or DAYBOOK_CONFIG, if one is named.
func readFile(v *viper.Viper, flags *pflag.FlagSet) (configFile, error) {
	path := os.Getenv("DAYBOOK_CONFIG")
	if flag := flags.Lookup("config"); flag != nil && flag.Changed {
		path = flag.Value.String()
	}
	if path == "" {
		return configFile{}, nil
	}
	file, err := parseConfigFile(path)
	if err != nil {
		return file, err
	}
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		var parse viper.ConfigParseError
		if errors.As(err, &parse) {
			err = parse.Unwrap()
		}
		return file, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}
