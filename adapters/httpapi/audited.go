package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/fault"
)

// reasonHeader is in which clients say why: for privileged actions, and for what auditors and operators read.
const reasonHeader = "Audit-Reason"

// maxReason is how many bytes a reason may have.
const maxReason = 500

// privilege is how a route stands to the audit log.
type privilege uint8

const (
	ordinary   privilege = iota // what it does is not in it
	writtenUp                   // who does it, and why, is written down before it is done, or it is not done
	itsOwnNote                  // what it does is an entry by itself
)

// enter writes down what must be before it is done: privileged actions, and what those read who may read what is not theirs. What the
// policy forbids is not written here, but as a refusal.
func (s *server) enter(r *http.Request, requestID string, rt *route) error {
	watched := rt.method == http.MethodGet && access.Of(r.Context()).Watched(rt.right)
	if rt.privilege == ordinary && !watched {
		return nil
	}
	if err := need(r, rt.right); err != nil {
		return err
	}
	reason, err := reasonOf(r.Header)
	switch {
	case err != nil:
		return err
	case reason == "" && s.NeedReason:
		return errNoReason
	}
	*r = *r.WithContext(access.WithReason(r.Context(), reason))
	switch {
	case rt.privilege == writtenUp:
		return s.Audit.Record(r.Context(), entry(r, requestID, access.Begun, ""))
	case watched:
		return s.Audit.Record(r.Context(), entry(r, requestID, access.Looked, ""))
	}
	return nil
}

// reasonOf reads Audit-Reason; "" when there is none.
func reasonOf(h http.Header) (string, error) {
	given := h[reasonHeader]
	if len(given) == 0 {
		return "", nil
	}
	reason := strings.TrimSpace(given[0])
	if len(given) > 1 || reason == "" || len(reason) > maxReason || !utf8.ValidString(reason) || strings.IndexFunc(reason, unicode.IsControl) >= 0 {
		return "", errInvalidHeader.Say("Audit-Reason must be there once, with 1 to %d bytes of text in UTF-8.", maxReason).At(reasonHeader, "must be a text of up to 500 bytes")
	}
	return reason, nil
}

// reasonParam describes Audit-Reason where it is read; nil elsewhere.
func (s *server) reasonParam(rt *route) *huma.Param {
	auditor := &access.Principal{Roles: []access.Role{access.Auditor}}
	switch {
	case rt.privilege != ordinary:
		p := headerParam(reasonHeader, "Why it is done, for the audit log: up to 500 bytes.")
		p.Required = s.NeedReason
		return p
	case rt.method == http.MethodGet && auditor.Watched(rt.right):
		return headerParam(reasonHeader, "Why it is read, for the audit log, which holds what auditors and operators read: up to 500 bytes.")
	}
	return nil
}

// entry is what the audit log says of a request.
func entry(r *http.Request, requestID, outcome, detail string) access.Entry {
	return access.Entry{
		Subject: subject(r), Action: action(r), Target: r.URL.RequestURI(), Outcome: outcome, RequestID: requestID, Address: address(r), Detail: detail,
		Reason: access.Reason(r.Context()),
	}
}

// action names the operation: the route if one was found.
func action(r *http.Request) string {
	if strings.HasPrefix(r.Pattern, "/v1/") {
		return r.Method + " " + r.Pattern
	}
	return r.Method
}

// noteRefusal writes down who was refused what, if that was for who they are; detail says more where a request is many.
func (s *server) noteRefusal(r *http.Request, requestID string, err error, detail string) {
	f := fault.Of(err)
	if f.Kind != fault.Denied && !errors.Is(err, access.ErrForbidden) || errors.Is(err, errCrossSite) || errors.Is(err, errForeignHost) {
		return
	}
	if cause := errors.Unwrap(f); cause != nil && detail == "" {
		detail = cause.Error()
	}
	s.Audit.Note(entry(r, requestID, f.Code, detail))
}
