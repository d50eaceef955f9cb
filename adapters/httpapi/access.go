package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
)

// outliving is a context for work that goes on when the request was answered, in the name of who asked for it.
func (s *server) outliving(r *http.Request) context.Context {
	return access.As(s.Lifetime, access.Of(r.Context()))
}

// authorization is the name of the way to say who one is, in the document.
const authorization = "bearer"

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{authorization: {
		Type: "http", Scheme: "bearer",
		Description: "An API key (dbk_…) or an access token of the configured issuer. A server on loopback may ask nobody who they are; then everything is allowed.",
	}}
}

// describeAccess says of an operation who may do it.
func (s *server) describeAccess(op *huma.Operation, right access.Operation) {
	if right == access.Public {
		op.Security = []map[string][]string{}
		return
	}
	op.Security = []map[string][]string{{authorization: {}}}
	if s.Anonymous {
		op.Security = append(op.Security, map[string][]string{})
	}
	op.Description = strings.TrimSpace(op.Description + " " + whoMay(right))
	addFaults(op, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
}

// whoMay is the line of the policy for an operation, in words.
func whoMay(right access.Operation) string {
	reaches := map[access.Reach]string{access.Owned: " (as the owner)", access.Held: " (as owner or holder)", access.All: ""}
	var who []string
	for _, role := range access.Roles {
		if reach := right.Reach(role); reach != access.None {
			who = append(who, string(role)+reaches[reach])
		}
	}
	slices.Sort(who)
	return "Roles: " + strings.Join(who, ", ") + "."
}
