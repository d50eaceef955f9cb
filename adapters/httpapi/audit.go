package httpapi

import (
	"net/http"
	"strconv"
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
		params: []*huma.Param{after, feedCursorParam(), since, limitParam()},
	}}
}

func describeAudit() huma.Operation {
	op := operation("list-audit", "operations", "Who was refused what, and what privileged people did",
		"Oldest first. The entries are events of a ledger of their own, chained and sealed as those of accounts are.")
	answers(&op, http.StatusOK, "The entries.", jsonMedia, ref("AuditList"))
	addFaults(&op, http.StatusForbidden, http.StatusServiceUnavailable)
	return op
}

func auditSchemas() map[string]*huma.Schema {
	words := &huma.Schema{Type: "string"}
	one := with(with(object("One entry of the audit log."), "position", numberSchema(1, es.MaxAmount)), "at", timeSchema())
	with(with(one, "action", words), "outcome", &huma.Schema{Type: "string", Description: "begun, done, or the code of the refusal."})
	for _, name := range []string{"subject", "target", "requestId", "address", "detail"} {
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
}

func (s *server) audit(w http.ResponseWriter, r *http.Request, q *values) error {
	if err := need(r, access.Audit); err != nil {
		return err
	}
	q.exclusive("after", "cursor")
	after := max(q.number("after", 0, es.MaxAmount, 0), q.number("cursor", 0, es.MaxAmount, 0))
	since, limit := q.moment("since"), q.limit()
	if err := q.fault(); err != nil {
		return err
	}
	entries, err := s.Audit.Entries(r.Context(), uint64(after), since, limit)
	if err != nil {
		return err
	}
	items, next := make([][]byte, len(entries)), ""
	for i := range entries {
		if items[i], err = json.Marshal(auditDocument(entries[i])); err != nil {
			return err
		}
	}
	if len(entries) == limit {
		next = strconv.FormatUint(entries[limit-1].Position, 10)
	}
	answerList(w, len(items), next, func(dst []byte, i int) []byte { return append(dst, items[i]...) })
	return nil
}
