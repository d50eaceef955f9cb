// Package tlsfiles serves TLS with a certificate and a key out of two files, and takes up new ones while the server runs: whoever renews
// certificates needs no restart. Files that do not belong together, or cannot be read, change nothing.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, at the most: when somebody connects, or asks when the certificate expires.
const lookEvery = time.Second

// Options say where the files are; all are required.
type Options struct {
	Cert, Key string // PEM; the certificate first, then those that vouch for it
	Now       func() time.Time
	Log       *slog.Logger
}

// Files is a certificate out of files. All methods may be called concurrently.
type Files struct {
	options Options

	mu        sync.Mutex
	looked    time.Time
	pair      tls.Certificate
	cert, key []byte // as they were read, also if they were of no use
	warned    bool   // that the files cannot be read
}

// Open reads the files.
func Open(o Options) (*Files, error) {
	f := &Files{options: o, looked: o.Now()}
	cert, key, err := f.read()
	if err != nil {
		return nil, err
	}
	if err := f.take(cert, key); err != nil {
		return nil, err
	}
	return f, nil
}

// Config is that of a server: TLS 1.2 at the least, with the files as they are when a client connects.
func (f *Files) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current(), nil },
	}
}

// Expires is when the certificate that is served ends.
func (f *Files) Expires() time.Time { return f.current().Leaf.NotAfter }

// current gives the newest pair that is of use.
func (f *Files) current() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.options.Now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.look()
	}
	pair := f.pair
	return &pair
}

// look takes new files up, or says once why it does not. mu is held.
func (f *Files) look() {
	cert, key, err := f.read()
	if err != nil {
		if !f.warned {
			f.options.Log.Warn("the TLS certificate cannot be read again; the one before goes on", "error", err)
		}
		f.warned = true
		return
	}
	f.warned = false
	if bytes.Equal(cert, f.cert) && bytes.Equal(key, f.key) {
		return
	}
	if err := f.take(cert, key); err != nil {
		f.options.Log.Warn("the new TLS certificate is of no use; the one before goes on", "error", err)
		return
	}
	f.options.Log.Info("a new TLS certificate is served", "expires", f.pair.Leaf.NotAfter)
}

func (f *Files) read() (cert, key []byte, err error) {
	if cert, err = os.ReadFile(f.options.Cert); err == nil {
		key, err = os.ReadFile(f.options.Key)
	}
	return cert, key, err
}

// take makes a pair of what was read.
func (f *Files) take(cert, key []byte) error {
	f.cert, f.key = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", f.options.Cert, f.options.Key, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("%s: %w", f.options.Cert, err)
		}
	}
	if !f.options.Now().Before(pair.Leaf.NotAfter) {
		return fmt.Errorf("%s: the certificate expired at %s", f.options.Cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	f.pair = pair
	return nil
}
