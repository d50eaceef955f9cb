package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/es"
)

// proofRoutes are what others need to check the store without trusting whoever holds it.
func (s *server) proofRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/events/{id}/proof", right: access.Read, operation: describeProof(), serve: s.proof, costly: always,
			params: []*huma.Param{pathParam("id", &huma.Schema{Type: "string", Pattern: `^evt-[1-9][0-9]*$`, Examples: []any{"evt-17"}}, "The event's id.")}},
		{method: http.MethodGet, path: "/v1/checkpoint", right: access.Checkpoint, operation: describeCheckpoint(), serve: s.checkpoint},
	}
}

func describeProof() huma.Operation {
	op := operation("prove-event", "events", "What proves one event",
		"The event as it is stored, the hash of the one before it in its stream, the path to the root of the tree over all events (RFC 6962), and the root in a signed checkpoint. "+
			"daybook verify proof checks it without a server.")
	answers(&op, http.StatusOK, "The proof.", jsonMedia, ref("Proof"))
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func describeCheckpoint() huma.Operation {
	op := operation("get-checkpoint", "events", "The signed checkpoint of the store at its head",
		"How many events there are and the root over their hashes, as a signed note (C2SP tlog-checkpoint, signed-note). Keep it elsewhere: nothing up to there can be changed unnoticed afterwards.")
	answers(&op, http.StatusOK, "The checkpoint.", "text/plain", &huma.Schema{Type: "string"})
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func proofSchema() *huma.Schema {
	hash := &huma.Schema{Type: "string", Pattern: `^[0-9a-f]{64}$`}
	s := with(object("What proves one event."), "event", &huma.Schema{Type: "string", Description: "The event byte for byte as it is stored: JSON in a string."})
	with(with(s, "previousHash", hash), "path", &huma.Schema{Type: "array", Items: hash})
	return with(s, "checkpoint", &huma.Schema{Type: "string", Description: "A signed note."})
}

// proofDocument is a proof on the wire.
type proofDocument struct {
	Event        string   `json:"event"`
	PreviousHash string   `json:"previousHash"`
	Path         []string `json:"path"`
	Checkpoint   string   `json:"checkpoint"`
}

func (s *server) proof(w http.ResponseWriter, r *http.Request, _ *values) error {
	at, err := es.ParseEventID(r.PathValue("id"))
	if err != nil {
		return errInvalidID.Say("The id in the path is not an event's, which looks like evt-17.")
	}
	p, err := s.Engine.Prove(r.Context(), at)
	if err != nil {
		return err
	}
	d := proofDocument{Event: string(p.Event.JSON()), PreviousHash: p.Previous.String(), Path: make([]string, len(p.Path)), Checkpoint: p.Note}
	for i := range p.Path {
		d.Path[i] = p.Path[i].String()
	}
	return answerValue(w, http.StatusOK, d)
}

func (s *server) checkpoint(w http.ResponseWriter, r *http.Request, _ *values) error {
	_, note, err := s.Engine.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	_, _ = w.Write([]byte(note)) // a client that left is no failure of ours
	return nil
}
