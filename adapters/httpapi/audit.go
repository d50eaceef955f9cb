package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"daybook/core/access"
	"daybook/core/es"
)

// auditRoutes show what was refused and what privileged people did.
func (s *server) auditRoutes() []route {
	since := queryParam("since", timeSchema(), "Only what was written from then on.")
	after := queryParam("after", numberSchema(0, es.MaxAmount), "Entries after this position of the access ledger.")
	return []route{{
		method: http.MethodGet, path: "/v1/admin/audit", right: access.Audit, operation: describeAudit(), serve: s.audit,
		params: []*huma.Param{after, cursorParam(), since, limitParam()},
	}}
}

func describeAudit() huma.Operation {
	op := operation("list-audit", "operations", "Who was refused what, what privileged people did, and what auditors and operators read",
		"Oldest first. The entries are events of a ledger of their own, chained and sealed as those of accounts are.")
	answers(&op, http.StatusOK, "The entries.", jsonMedia, ref("AuditList"))
	addFaults(&op, http.StatusForbidden, http.StatusServiceUnavailable)
	return op
}

func auditSchemas() map[string]*huma.Schema {
	words := &huma.Schema{Type: "string"}
	one := with(with(object("One entry of the audit log."), "position", numberSchema(1, es.MaxAmount)), "at", timeSchema())
	with(with(one, "action", words), "outcome", &huma.Schema{Type: "string", Description: "begun, read, done, or the code of the refusal."})
	for _, name := range []string{"subject", "target", "requestId", "address", "detail", "reason"} {
		optionally(one, name, words)
	}
	return map[string]*huma.Schema{"AuditEntry": one, "AuditList": listSchema(ref("AuditEntry"))}
}

type auditDocument struct {
	Position  uint64    `json:"position"`
	At        time.Time `json:"at"`
	Subject   string    `json:"subject,omitempty"`
	Action    string    `json:"action"`
	Target    string    `json:"target,omitempty"`
	Outcome   string    `json:"outcome"`
	RequestID string    `json:"requestId,omitempty"`
	Address   string    `json:"address,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

func (s *server) audit(w http.ResponseWriter, r *http.Request, q *values) error {
	if err := need(r, access.Audit); err != nil {
		return err
	}
	q.exclusive("after", "cursor")
	after, since, limit := uint64(q.number("after", 0, es.MaxAmount, 0)), q.moment("since"), q.limit()
	upTo, err := s.auditedUpTo(r.Context(), q, &after)
	if err != nil {
		return err
	}
	entries, err := s.Audit.Entries(r.Context(), after, since, limit)
	if err != nil {
		return err
	}
	for len(entries) > 0 && entries[len(entries)-1].Position > upTo {
		entries = entries[:len(entries)-1]
	}
	items, next := make([][]byte, len(entries)), ""
	for i := range entries {
		if items[i], err = json.Marshal(auditDocument(entries[i])); err != nil {
			return err
		}
	}
	if len(entries) == limit {
		next = fmt.Sprintf("%d-%d", entries[limit-1].Position, upTo)
	}
	answerList(w, len(items), next, func(dst []byte, i int) []byte { return append(dst, items[i]...) })
	return nil
}

// auditedUpTo is where a list of entries ends: at the entry of who asked for its first page. Each page is an entry itself, so the list could
// go on for ever. A cursor says where it ends, and where to go on.
func (s *server) auditedUpTo(ctx context.Context, q *values, after *uint64) (upTo uint64, err error) {
	if given := q.query.Get("cursor"); q.has("cursor") {
		if n, err := fmt.Sscanf(given, "%d-%d", after, &upTo); n != 2 || err != nil || given != fmt.Sprintf("%d-%d", *after, upTo) {
			q.refuse("cursor", "was not given by this list")
		}
	} else {
		upTo, err = s.Audit.Head(ctx)
	}
	if wrong := q.fault(); wrong != nil {
		return 0, wrong
	}
	return upTo, err
}
