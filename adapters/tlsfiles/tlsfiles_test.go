package tlsfiles

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a pair of files with a clock.
type world struct {
	t         *testing.T
	cert, key string
	mu        sync.Mutex
	now       time.Time
	log       bytes.Buffer
	files     *Files
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), now: time.Now()}
	w.write(1, time.Hour)
	var err error
	if w.files, err = Open(w.options()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() Options {
	return Options{Cert: w.cert, Key: w.key, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(lookEvery)
}

// write makes a certificate with the serial number and puts it where the files are.
func (w *world) write(serial int64, life time.Duration) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "daybook"}, DNSNames: []string{"localhost"},
		NotBefore: w.clock().Add(-time.Hour), NotAfter: w.clock().Add(life),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(w.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	w.put(w.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (w *world) put(name string, text []byte) {
	w.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// dial connects with at most the version and gives the serial number of the certificate that is shown.
func (w *world) dial(most uint16) (int64, error) {
	w.t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(server, w.files.Config()).Handshake() // the client tells what came of it
		_ = server.Close()
	}()
	conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most})
	err := conn.Handshake()
	_ = client.Close()
	<-done
	if err != nil {
		return 0, err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func (w *world) want(serial int64, when string) {
	w.t.Helper()
	if got, err := w.dial(tls.VersionTLS13); got != serial || err != nil {
		w.t.Errorf("%s: the certificate is %d, %v, want %d", when, got, err, serial)
	}
}

func TestNewFilesAreTakenUpWithoutARestart(t *testing.T) {
	w := newWorld(t)
	w.want(1, "at first")
	w.write(2, 2*time.Hour)
	w.later()
	w.want(2, "with new files")
	if left := w.files.Expires().Sub(w.clock()); left < 119*time.Minute {
		t.Errorf("it expires in %v", left)
	}
}

func TestFilesThatAreOfNoUseLeaveTheCertificateBefore(t *testing.T) {
	w := newWorld(t)
	old, err := os.ReadFile(w.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"a key of another certificate": func() { w.write(2, time.Hour); w.put(w.key, old) },
		"half a file":                  func() { w.write(2, time.Hour); w.put(w.cert, []byte("-----BEGIN CERTIFICATE-----\nMII")) },
		"an empty file":                func() { w.put(w.cert, nil) },
		"no file":                      func() { _ = os.Remove(w.cert) },
		"a certificate that has ended": func() { w.write(2, -time.Minute) },
	} {
		w.log.Reset()
		spoil()
		w.later()
		w.want(1, name)
		if !strings.Contains(w.log.String(), "level=WARN") || strings.Contains(w.log.String(), "PRIVATE") {
			t.Errorf("%s: the log says %q", name, w.log.String())
		}
		w.write(1, time.Hour) // sound again
		w.later()
		w.want(1, "after "+name)
		if old, err = os.ReadFile(w.key); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	w := newWorld(t)
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if _, err := w.dial(version); (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestAPairThatIsOfNoUseIsRefusedAtTheStart(t *testing.T) {
	w := newWorld(t)
	w.put(w.cert, []byte("x"))
	if _, err := Open(w.options()); err == nil || !strings.Contains(err.Error(), w.cert) {
		t.Errorf("got %v", err)
	}
}
