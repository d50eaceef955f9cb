package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"daybook/adapters/notary"
)

// OthersMayRead reports whether a file can be read by everybody on the machine.
func OthersMayRead(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// warnOfOpenSecrets says which files with secrets can be read by everybody on the machine. It is no reason not to start: those who mount
// secrets into containers often make them so, where nobody else is.
func warnOfOpenSecrets(c Config, log *slog.Logger) {
	files := append([]string{c.HTTP.TLS.Key}, c.secretFiles...)
	if path := c.sealPath(); path != "" {
		files = append(files, filepath.Join(path, notary.KeyFile))
	}
	for _, f := range files {
		if f != "" && OthersMayRead(f) {
			log.Warn("everybody on this machine can read a file that holds a secret: take that from them (chmod 600)", "file", f)
		}
	}
}

// Reach says where the server of a configuration is reached from its own machine, and how to know it: a certificate is for clients elsewhere, and
// need not name loopback. nil: by plain HTTP.
func Reach(c Config) (url string, known *tls.Config, err error) {
	host, port, err := net.SplitHostPort(c.HTTP.Addr)
	if err != nil {
		return "", nil, fmt.Errorf("http.addr: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	at := net.JoinHostPort(host, port)
	if !c.secure() {
		return "http://" + at, nil, nil
	}
	text, err := os.ReadFile(c.HTTP.TLS.Cert)
	if err != nil {
		return "", nil, fmt.Errorf("http.tls.cert: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", nil, fmt.Errorf("http.tls.cert: %s holds no certificate", c.HTTP.TLS.Cert)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", nil, fmt.Errorf("http.tls.cert: %w", err)
	}
	known = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	known.RootCAs.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		known.ServerName = strings.Replace(leaf.DNSNames[0], "*", "daybook", 1)
	case len(leaf.IPAddresses) > 0:
		known.ServerName = leaf.IPAddresses[0].String()
	default:
		return "", nil, errors.New("http.tls.cert: the certificate names no server")
	}
	return "https://" + at, known, nil
}
