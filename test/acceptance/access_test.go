package acceptance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/adapters/msgapi"
	"daybook/app"
	"daybook/core/access"
	"daybook/core/ports"
	"daybook/test/servers"
)

// keyFor makes a key where the keys of the folder lie, as `daybook keys create` does on the machine itself.
func keyFor(t *testing.T, c *app.Config, subject string, roles ...access.Role) string {
	t.Helper()
	keys, end, err := app.OpenKeys(*c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := keys.Create(t.Context(), access.NewKey{Subject: subject, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return secret
}

// guard makes a configuration ask who is there, with a key of all roles.
func guard(t *testing.T, key *string) func(*app.Config) {
	t.Helper()
	dir := t.TempDir()
	return func(c *app.Config) {
		onPebble(dir)(c)
		*key = keyFor(t, c, "ops", access.Teller, access.Auditor, access.Operator)
		c.Auth.Mode = "required"
	}
}

func TestACredentialThatDoesNotHoldIsNeverTakenForNone(t *testing.T) {
	dir := t.TempDir()
	for mode, anonymous := range map[string]int{"none": 200, "required": 401} {
		var key string
		d := begin(t, func(c *app.Config) {
			onPebble(filepath.Join(dir, mode))(c)
			key = keyFor(t, c, "ops", access.Teller, access.Auditor, access.Operator)
			c.Auth.Mode = mode
		})
		for credential, want := range map[string]int{
			"":                             anonymous,
			"Bearer " + key:                200,
			"bearer " + key:                200,
			"Bearer " + key + "x":          401,
			"Bearer  " + key:               401,
			"Bearer dbk_aaaaaaaa_aaaaaaaa": 401,
			"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcHMifQ.": 401,
			"Bearer":           401,
			"Bearer ":          401,
			"Basic b3BzOm9wcw": 401,
			key:                401,
		} {
			var headers []string
			if credential != "" {
				headers = []string{"Authorization", credential}
			}
			if a := d.get("/v1/status", headers...); a.status != want {
				t.Errorf("mode %s, %q: %d %s", mode, credential, a.status, a.body)
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = []string{"Bearer " + key, "Bearer " + key}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("mode %s, the header twice: %d", mode, resp.StatusCode)
		}
		d.stop()
	}
}

func TestMetricsAndProfilesAreForOperatorsWhereOthersCouldReachThem(t *testing.T) {
	var key, till string
	base := guard(t, &key)
	d := begin(t, func(c *app.Config) {
		base(c)
		till = keyFor(t, c, "till", access.Teller)
		c.Admin.Addr, c.BehindTLSProxy = "0.0.0.0:0", true
	})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(d.app.AdminURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	api := d.url
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/symbol"} {
		d.url = "http://127.0.0.1:" + port
		for credential, want := range map[string]int{"Bearer " + key: 200, "Bearer " + till: 403, "Bearer dbk_x_y": 401} {
			if a := d.get(path, "Authorization", credential); a.status != want {
				t.Errorf("%s: %d, want %d", path, a.status, want)
			}
		}
		if a := d.get(path); a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s of nobody: %d", path, a.status)
		}
		d.url = api
		if a := d.get(path, "Authorization", "Bearer "+key); a.status != 404 {
			t.Errorf("the API's listener serves %s: %d", path, a.status)
		}
	}
}

func TestTLSIsServedFromFiles(t *testing.T) {
	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	var key string
	base := guard(t, &key)
	var own app.Config
	d := begin(t, func(c *app.Config) {
		defer func() { own = *c }()
		base(c)
		c.HTTP.TLS.Cert, c.HTTP.TLS.Key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		c.Admin.Addr = "127.0.0.1:0"
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	get := func(url string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp, body.String()
	}
	if !strings.HasPrefix(d.url, "https://") {
		t.Fatalf("it is at %s", d.url)
	}
	if resp, body := get(d.url + "/v1/status"); resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if _, body := get(d.app.AdminURL() + "/metrics"); !strings.Contains(body, "daybook_tls_certificate_expiry_timestamp_seconds ") {
		t.Error("there is no metric of when the certificate expires")
	}
	own.HTTP.Addr = strings.TrimPrefix(d.url, "https://") // as a health check in the same container asks
	at, known, err := app.Reach(own)
	if err != nil {
		t.Fatal(err)
	}
	checking := &http.Transport{TLSClientConfig: known}
	defer checking.CloseIdleConnections()
	ready, err := (&http.Client{Transport: checking}).Get(at + "/livez") //nolint:noctx // of a test's own server
	if err != nil || ready.StatusCode != http.StatusOK {
		t.Fatalf("the server's own health check: %v, %v", ready, err)
	}
	_ = ready.Body.Close()
	plain, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(d.url, "https", "http", 1)+"/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(plain)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %d", resp.StatusCode)
	}
}

// writeCertificate makes a certificate of this machine, and gives what trusts it.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "daybook"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	return pool
}

// lockedBuffer takes a log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A secret that is shown, rightly, wrongly and where it does not belong, is found in no answer, no log, no metric and no file.
func TestSecretsAreFoundNowhere(t *testing.T) {
	var key string
	dir := t.TempDir()
	c := app.Default()
	onPebble(dir)(&c)
	key = keyFor(t, &c, "ops", access.Teller, access.Auditor, access.Operator)
	c.HTTP.Addr, c.Admin.Addr, c.Auth.Mode, c.Log.Level, c.Log.Format = "127.0.0.1:0", "127.0.0.1:0", "required", "debug", "json"
	var log lockedBuffer
	a, err := app.New(c, app.Build{}, app.NewLogger(c, &log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	d := &daybook{t: t, app: a, url: a.URL()}
	_, secret, _ := strings.Cut(strings.TrimPrefix(key, access.KeyPrefix), "_")
	var seen []string
	ask := func(method, path, body string, headers ...string) {
		got := d.do(method, path, "application/json", strings.NewReader(body), headers...)
		seen = append(seen, string(got.body))
		for name, values := range got.header {
			seen = append(seen, name+": "+strings.Join(values, " "))
		}
	}
	right, wrong := "Bearer "+key, "Bearer "+key+"x"
	for _, credential := range []string{right, wrong, "Basic " + key, "Bearer x." + secret + ".y"} {
		for _, path := range []string{"/v1/status", "/v1/accounts", "/v1/admin/keys", "/v1/admin/audit", "/v1/nothing", "/v1/accounts/x", "/v1/events", "/readyz?verbose", "/openapi.json", "/docs/errors"} {
			ask(http.MethodGet, path, "", "Authorization", credential)
		}
		ask(http.MethodPost, "/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`, "Authorization", credential)
		ask(http.MethodPost, "/v1/admin/rebuild", "", "Authorization", credential)
		ask(http.MethodPost, "/v1/admin/keys", `{"subject":`, "Authorization", credential)
	}
	d.url = a.AdminURL()
	ask(http.MethodGet, "/metrics", "")
	ask(http.MethodGet, "/debug/pprof/cmdline", "")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	for _, text := range seen {
		if strings.Contains(text, secret) {
			t.Errorf("an answer holds the secret: %.300s", text)
		}
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log holds the secret:\n%s", log.String())
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMessageIsTakenOfWhoSaysWhoTheyAre(t *testing.T) {
	var key string
	d := begin(t, guard(t, &key))
	replies, dead := d.listen("my.replies"), d.listen(ports.DeadLetters(msgapi.Topic("daybook")))
	const create = `{"id":"1","account":"a","command":"create","data":{"owner":"Ada","currency":"EUR"}}`
	for id, credential := range map[string]string{"nobody": "", "forged": "Bearer " + key + "x", "another scheme": "Basic " + key} {
		headers := map[string]string{msgapi.HeaderReplyTo: "my.replies"}
		if credential != "" {
			headers[msgapi.HeaderAuthorization] = credential
		}
		d.send(id, create, headers)
		if got := (answer{body: receive(t, replies).Body}); got.member("status") != int64(401) || got.member("error.code") != "unauthenticated" {
			t.Errorf("%s was answered %s", id, got.body)
		}
	}
	d.send("unheard", create, map[string]string{msgapi.HeaderAuthorization: "Bearer " + key + "x"})
	if m := receive(t, dead); m.ID != "unheard" || !strings.Contains(m.Headers[ports.HeaderReason], "unauthenticated") {
		t.Errorf("the dead letter is %s, %v", m.ID, m.Headers)
	}
	as := []string{"Authorization", "Bearer " + key}
	if got := d.get("/v1/admin/dead-letters", as...).want(t, 200); strings.Contains(string(got.body), key[len("dbk_12345678_"):]) {
		t.Errorf("the dead letters show a credential: %s", got.body)
	}
	d.send("right", create, map[string]string{msgapi.HeaderReplyTo: "my.replies", msgapi.HeaderAuthorization: "Bearer " + key})
	if got := (answer{body: receive(t, replies).Body}); got.member("status") != int64(201) {
		t.Fatalf("a key was answered %s", got.body)
	}
	if got := d.get("/v1/events/evt-1", as...).want(t, 200); got.member("metadata.principal") != "ops" {
		t.Errorf("the event is %s", got.body)
	}
	begun := time.Now()
	for refused := 0; refused < 4; { // entries are written behind the answer
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d refusals are in the audit log", refused)
		}
		refused = strings.Count(string(d.get("/v1/admin/audit", as...).want(t, 200).body), `"action":"message"`)
	}
}

func TestAKeyThatIsRevokedEndsInTheOtherProcessesOfTheDatabase(t *testing.T) {
	database := servers.PostgresDatabase(t)
	onPostgres := func(c *app.Config) {
		c.Store.Driver, c.Store.Postgres.URL, c.Auth.Mode = "postgres", database, "required"
	}
	one, two := begin(t, onPostgres), begin(t, onPostgres)
	c := app.Default()
	onPostgres(&c)
	ops := []string{"Authorization", "Bearer " + keyFor(t, &c, "ops", access.Operator, access.Auditor)} // beside processes that run
	one.eventuallyAs(ops, "/v1/status", 200)
	two.eventuallyAs(ops, "/v1/status", 200)
	made := one.post("/v1/admin/keys", `{"subject":"till","roles":["auditor"]}`, ops...).want(t, 201)
	till := []string{"Authorization", "Bearer " + made.member("key").(string)}
	two.eventuallyAs(till, "/v1/status", 200)
	one.post("/v1/admin/keys/"+made.member("prefix").(string)+"/revoke", "", ops...).want(t, 200)
	begun := time.Now()
	one.get("/v1/status", till...).want(t, 401)
	two.eventuallyAs(till, "/v1/status", 401)
	t.Logf("the other process took %v", time.Since(begun).Round(time.Millisecond))
	if events := one.get("/v1/events", ops...).want(t, 200); events.member("items.0") != nil {
		t.Errorf("keys are in the feed of accounts: %s", events.body)
	}
	if log := two.get("/v1/admin/audit", ops...).want(t, 200); !strings.Contains(string(log.body), `"action":"KeyRevoked"`) {
		t.Errorf("the audit log is %s", log.body)
	}
}

// eventuallyAs asks until the answer has the status, for as long as a revocation may take at the most.
func (d *daybook) eventuallyAs(as []string, path string, status int) {
	d.t.Helper()
	for begun := time.Now(); ; {
		got := d.get(path, as...)
		if got.status == status {
			return
		}
		if time.Since(begun) > 6*time.Second {
			d.t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		<-time.After(200 * time.Millisecond) // more failures a second than this are answered 429
	}
}
