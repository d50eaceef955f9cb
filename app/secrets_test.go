package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestAFileWithASecretThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("postgres://user:secret@host/daybook"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask says
			t.Fatal(err)
		}
		return path
	}
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		Flags(flags)
		url := write("url", mode)
		if err := os.MkdirAll(filepath.Join(dir, "seal"), 0o700); err != nil {
			t.Fatal(err)
		}
		key, seal := write("tls.key", mode), write("seal/key", mode)
		c, _, err := Load(flags, []string{"DAYBOOK_STORE_POSTGRES_URL_FILE=" + url, "DAYBOOK_HTTP_TLS_CERT=cert", "DAYBOOK_HTTP_TLS_KEY=" + key, "DAYBOOK_SEAL_PATH=" + filepath.Dir(seal)})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		warnOfOpenSecrets(c, slog.New(slog.NewTextHandler(&log, nil)))
		for _, path := range []string{url, key, seal} {
			if strings.Contains(log.String(), path) != warned {
				t.Errorf("%s with mode %o: %s", path, mode, log.String())
			}
		}
		if strings.Contains(log.String(), "user:secret") {
			t.Error("the secret is in the log")
		}
	}
}

func TestTheServerOfAConfigurationIsReachedOnItsOwnMachine(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:8080": "http://127.0.0.1:8080", "[::]:8080": "http://[::1]:8080", ":8080": "http://127.0.0.1:8080",
		"192.0.2.7:80": "http://192.0.2.7:80", "localhost:8080": "http://localhost:8080",
	} {
		c := Default()
		c.HTTP.Addr = addr
		if got, known, err := Reach(c); got != want || known != nil || err != nil {
			t.Errorf("%s is reached at %s, %v, %v", addr, got, known, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"*.ledger.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.HTTP.Addr, c.HTTP.TLS.Cert, c.HTTP.TLS.Key = "0.0.0.0:8443", filepath.Join(t.TempDir(), "cert.pem"), "key"
	if _, _, err := Reach(c); err == nil {
		t.Error("a certificate that is not there is no error")
	}
	if err := os.WriteFile(c.HTTP.TLS.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	url, known, err := Reach(c)
	if err != nil || url != "https://127.0.0.1:8443" || known.ServerName != "daybook.ledger.example.com" || known.InsecureSkipVerify {
		t.Errorf("got %s, %+v, %v", url, known, err)
	}
}
