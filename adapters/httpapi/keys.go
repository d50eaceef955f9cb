package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/es"
)

const (
	keysPath = "/v1/admin/keys"
	oneKey   = keysPath + "/{prefix}"
)

// defaultGrace is how long a key that was rotated goes on beside the new one.
const defaultGrace = 24 * time.Hour

// keyRoutes make and end API keys; there are none in a process that keeps no keys. What is done with keys is in the audit log by
// itself: the events of keys are a part of it.
func (s *server) keyRoutes() []route {
	if s.Keys == nil {
		return nil
	}
	prefix := pathParam("prefix", &huma.Schema{Type: "string", Examples: []any{"k3vq7m2a"}}, "What follows dbk_ in the key.")
	grace := queryParam("graceSeconds", numberSchema(0, int64(30*24*time.Hour/time.Second)), "How long the old key goes on; a day unless said.")
	return []route{
		{method: http.MethodGet, path: keysPath, right: access.Keys, operation: describeKeys("list-keys", "All API keys, without their secrets", http.StatusOK, "KeyList"), serve: s.listKeys},
		{method: http.MethodPost, path: keysPath, right: access.Keys, operation: describeKeyCreation(), serve: s.createKey, privilege: itsOwnNote},
		{method: http.MethodPost, path: oneKey + "/rotate", right: access.Keys, operation: describeKeys("rotate-key", "Make a new key in the place of one that then ends", http.StatusCreated, "KeySecret", http.StatusNotFound, http.StatusConflict),
			serve: s.rotateKey, params: []*huma.Param{prefix, grace}, privilege: itsOwnNote},
		{method: http.MethodPost, path: oneKey + "/revoke", right: access.Keys, operation: describeKeys("revoke-key", "End a key at once", http.StatusOK, "Key", http.StatusNotFound), serve: s.revokeKey, params: []*huma.Param{prefix}, privilege: itsOwnNote},
	}
}

func describeKeys(id, summary string, status int, schema string, faults ...int) huma.Operation {
	op := operation(id, "operations", summary, "")
	words := "It is done."
	if schema == "KeySecret" {
		words = "The key. This is the only time that its secret is shown."
	}
	answers(&op, status, words, jsonMedia, ref(schema))
	addFaults(&op, append(faults, http.StatusForbidden, http.StatusServiceUnavailable)...)
	return op
}

func describeKeyCreation() huma.Operation {
	op := describeKeys("create-key", "Make an API key", http.StatusCreated, "KeySecret", http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusRequestTimeout)
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonMedia: {Schema: ref("NewKey")}}}
	return op
}

func roleSchema() *huma.Schema {
	return &huma.Schema{Type: "array", MinItems: ptr(1), Items: &huma.Schema{
		Type: "string", Enum: []any{string(access.Customer), string(access.Teller), string(access.Auditor), string(access.Operator)},
	}}
}

func keySchemas() map[string]*huma.Schema {
	words := &huma.Schema{Type: "string"}
	members := func(s *huma.Schema) *huma.Schema {
		with(with(with(with(s, "prefix", words), "subject", words), "roles", roleSchema()), "created", timeSchema())
		return optionally(optionally(optionally(optionally(s, "expires", timeSchema()), "revoked", timeSchema()), "replaces", words), "lastUsed", timeSchema())
	}
	request := with(with(object("What a key is for."), "subject", textSchema(es.MaxText)), "roles", roleSchema())
	return map[string]*huma.Schema{
		"Key": members(object("An API key without its secret. lastUsed is exact to the hour.")), "KeyList": listSchema(ref("Key")),
		"KeySecret": with(members(object("A new API key.")), "key", &huma.Schema{Type: "string", Description: "What is sent: Authorization: Bearer <key>."}),
		"NewKey":    optionally(request, "expires", timeSchema()),
	}
}

func (s *server) listKeys(w http.ResponseWriter, r *http.Request, _ *values) error {
	if err := need(r, access.Keys); err != nil {
		return err
	}
	keys, err := s.Keys.List(r.Context())
	if err != nil {
		return err
	}
	items := make([][]byte, len(keys))
	for i := range keys {
		if items[i], err = json.Marshal(wire.KeyOf(keys[i], "")); err != nil {
			return err
		}
	}
	answerList(w, len(items), "", func(dst []byte, i int) []byte { return append(dst, items[i]...) })
	return nil
}

func (s *server) createKey(w http.ResponseWriter, r *http.Request, _ *values) error {
	if err := need(r, access.Keys); err != nil {
		return err
	}
	if err := mediaType(r.Header, jsonMedia); err != nil {
		return err
	}
	body, err := readBody(nil, r)
	if err != nil {
		return err
	}
	n, err := decodeNewKey(body)
	if err != nil {
		return err
	}
	key, secret, err := s.Keys.Create(r.Context(), n)
	if err != nil {
		return err
	}
	return answerValue(w, http.StatusCreated, wire.KeyOf(key, secret))
}

// decodeNewKey reads what a key is for: no other members, none twice.
func decodeNewKey(body []byte) (n access.NewKey, err error) {
	var given struct {
		Subject string         `json:"subject"`
		Roles   []access.Role  `json:"roles"`
		Expires jsontext.Value `json:"expires"`
	}
	if err := json.Unmarshal(body, &given, json.RejectUnknownMembers(true)); err != nil {
		return n, wire.ErrInvalidBody.Say("The body must be one JSON object with subject, roles and, if the key shall end, expires.").Because(err)
	}
	n.Subject, n.Roles = given.Subject, given.Roles
	if given.Expires == nil {
		return n, nil
	}
	var text string // null is not a time, and must not make a key that never ends
	if given.Expires.Kind() != '"' || json.Unmarshal(given.Expires, &text) != nil {
		return n, wire.ErrInvalidField.Say("/expires must be a text with a time.").At("/expires", "must be a text with a time")
	}
	if n.Expires, err = es.ParseTime(text); err != nil {
		return n, wire.ErrInvalidField.Say("/expires %s.", err).At("/expires", err.Error())
	}
	return n, nil
}

func (s *server) rotateKey(w http.ResponseWriter, r *http.Request, q *values) error {
	if err := need(r, access.Keys); err != nil {
		return err
	}
	grace := time.Duration(q.number("graceSeconds", 0, int64(30*24*time.Hour/time.Second), int64(defaultGrace/time.Second))) * time.Second
	if err := q.fault(); err != nil {
		return err
	}
	key, secret, err := s.Keys.Rotate(r.Context(), r.PathValue("prefix"), grace)
	if err != nil {
		return err
	}
	return answerValue(w, http.StatusCreated, wire.KeyOf(key, secret))
}

func (s *server) revokeKey(w http.ResponseWriter, r *http.Request, _ *values) error {
	if err := need(r, access.Keys); err != nil {
		return err
	}
	key, err := s.Keys.Revoke(r.Context(), r.PathValue("prefix"))
	if err != nil {
		return err
	}
	return answerValue(w, http.StatusOK, wire.KeyOf(key, ""))
}
