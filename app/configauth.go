package app

import (
	"fmt"
	"net"
	"strings"

	"daybook/adapters/tokens"
)

// What auth.mode may be.
const (
	authNone     = "none"
	authRequired = "required"
)

// secure reports whether the listeners speak TLS themselves.
func (c *Config) secure() bool { return c.HTTP.TLS.Cert != "" && c.HTTP.TLS.Key != "" }

// issued reports whether access tokens are taken.
func (c *Config) issued() bool { return c.Auth.OIDC.Issuer != "" }

// checkAuth says where the settings of authentication contradict each other: one that does nothing would be taken for one that does.
func (c *Config) checkAuth(settings []Setting) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if c.Auth.Mode == authNone {
		for i, k := range keys() {
			if s := settings[i]; strings.HasPrefix(k.name, "auth.") && k.name != "auth.mode" && s.Value != k.value {
				say("%s: %q does nothing while auth.mode is none: set auth.mode to required, or leave it out", s.Origin, s.Name)
			}
		}
		return problems
	}
	if c.InsecureAnonymous {
		say("insecure-allow-anonymous: auth.mode is required, so nobody is let in without saying who they are; leave one of them out")
	}
	if !c.issued() {
		if c.Auth.JWKS.Path != "" || c.Auth.OIDC.Audience != "" {
			say("auth.oidc.issuer: tokens are taken of one issuer alone; say which")
		}
		return problems
	}
	if c.Auth.OIDC.Audience == "" {
		say("auth.oidc.audience: say whom tokens must be made for (aud), or those made for other services would be taken too")
	}
	if c.Auth.JWKS.Path == "" {
		if err := tokens.CheckURL(c.Auth.OIDC.Issuer); err != nil {
			say("auth.oidc.issuer: %v", err)
		}
	}
	return problems
}

// checkListeners says where other machines could reach what nobody guards, or where keys would cross the network in the clear.
func (c *Config) checkListeners() (problems []string) {
	if (c.HTTP.TLS.Cert == "") != (c.HTTP.TLS.Key == "") {
		problems = append(problems, "http.tls.cert and http.tls.key: a certificate needs its key; set both, or none")
	}
	if c.secure() && c.BehindTLSProxy {
		problems = append(problems, "behind-tls-proxy: http.tls.cert is set, so this process does TLS itself; leave one of them out")
	}
	if c.InsecureAnonymous {
		return problems
	}
	for _, l := range [...]struct{ key, addr string }{{"http.addr", c.HTTP.Addr}, {"admin.addr", c.Admin.Addr}} {
		if l.addr == "" || loopback(l.addr) {
			continue
		}
		var needs []string
		if c.Auth.Mode != authRequired {
			needs = append(needs, "--auth.mode required (daybook keys create makes the first key)")
		}
		if !c.secure() && !c.BehindTLSProxy {
			needs = append(needs, "TLS: --http.tls.cert and --http.tls.key, or --behind-tls-proxy where a proxy does it")
		}
		if len(needs) > 0 {
			problems = append(problems, fmt.Sprintf("%s: other machines can reach %s, so it needs %s. Or listen on 127.0.0.1. --insecure-allow-anonymous would let everybody in.",
				l.key, l.addr, strings.Join(needs, ", and ")))
		}
	}
	return problems
}

// loopback reports whether only this machine can reach the address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// anyName reports whether clients may know this server by any name: where everybody is let in anyway, and behind a proxy that has one.
func (c *Config) anyName() bool { return c.InsecureAnonymous || c.BehindTLSProxy }
