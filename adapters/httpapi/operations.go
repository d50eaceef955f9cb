package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
)

// operationsRoutes are what those who run the process ask for.
func (s *server) operationsRoutes() []route {
	verbose := queryParam("verbose", &huma.Schema{Type: "string", Enum: []any{"", "true", "false"}}, "Answer with each check.")
	verbose.AllowEmptyValue = true
	return []route{
		{method: http.MethodGet, path: "/v1/status", right: access.Status, operation: describeStatus(), serve: s.status},
		{method: http.MethodPost, path: "/v1/admin/rebuild", right: access.Rebuild, operation: describeRebuild(), serve: s.rebuild, privilege: writtenUp, costly: always},
		{method: http.MethodGet, path: "/v1/admin/operations/{id}", right: access.Operations, operation: describeOperation(), serve: s.operation,
			params: []*huma.Param{pathParam("id", &huma.Schema{Type: "string", Examples: []any{"op-1"}}, "The operation's id.")}},
		{method: http.MethodGet, path: "/livez", right: access.Public, operation: describeHealth("alive", "Whether the process answers"), serve: s.live, params: []*huma.Param{verbose}},
		{method: http.MethodGet, path: "/readyz", right: access.Public, operation: describeHealth("ready", "Whether the process can do its work"), serve: s.ready, params: []*huma.Param{verbose}},
	}
}

// answerValue answers with a value that has no hot path.
func answerValue(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	answerJSON(w, status, body)
	return nil
}

type viewStatus struct {
	Name     string       `json:"name"`
	Position *es.Position `json:"position,omitempty"`
	Lag      *es.Position `json:"lag,omitempty"` // events that it does not reflect yet
	Open     bool         `json:"open"`
	Reason   string       `json:"reason,omitempty"` // why nothing is known of it; then position and lag are absent
}

type parkedStatus struct {
	View   string `json:"view"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

type statusDocument struct {
	Head        es.Position    `json:"head"`
	Archived    es.Position    `json:"archived"` // events up to here were moved to the archive
	Views       []viewStatus   `json:"views"`
	Parked      []parkedStatus `json:"parked"`                // the first few
	ParkedCount *int           `json:"parkedCount,omitempty"` // absent when nothing is known of the views
	Queued      int            `json:"queued"`                // requests whose commands wait
	Drivers     Drivers        `json:"drivers"`
	Build       Build          `json:"build"`
}

// status serves how far everything is. A view that lags, rebuilds or cannot be reached is an answer, not a failure.
func (s *server) status(w http.ResponseWriter, r *http.Request, _ *values) error {
	st, err := s.Engine.Status(r.Context())
	if err != nil {
		return err
	}
	d := statusDocument{Head: st.Head, Archived: st.Archived, Parked: []parkedStatus{}, Queued: s.Engine.Queued(), Drivers: s.Drivers, Build: s.Build}
	view := viewStatus{Open: st.Views.Open}
	if st.ViewsErr != nil {
		view.Reason = fault.Of(st.ViewsErr).Msg
	} else {
		lag := st.Head - min(st.Views.Checkpoint, st.Head) // the head was asked for first
		view.Position, view.Lag, d.ParkedCount = &st.Views.Checkpoint, &lag, &st.ParkedCount
	}
	for _, m := range s.Engine.Registry.Modules {
		view.Name = m.Name
		d.Views = append(d.Views, view)
	}
	for _, p := range st.Parked {
		d.Parked = append(d.Parked, parkedStatus{p.View, p.ID, p.Reason})
	}
	return answerValue(w, http.StatusOK, d)
}

type operationDocument struct {
	ID       string      `json:"id"`
	Kind     string      `json:"kind"`
	State    string      `json:"state"`
	Position es.Position `json:"position"`
	Head     es.Position `json:"head"`
	Percent  int         `json:"percent"`
	PerSec   int64       `json:"eventsPerSecond,omitempty"`
	Seconds  int64       `json:"secondsLeft,omitempty"` // about
	Views    []compared  `json:"views,omitempty"`       // in the process that built them, when it is done
	HeldBack string      `json:"heldBack,omitempty"`    // why events stay that are old enough to be archived
	Error    string      `json:"error,omitempty"`
}

// compared is how a view was, and how it is now that it was built again.
type compared struct {
	Name        string       `json:"name"`
	Digest      string       `json:"digest"` // of the documents as they are now
	Before      string       `json:"digestBefore"`
	Same        int          `json:"same"`
	Added       int          `json:"added"`
	Removed     int          `json:"removed"`
	Changed     int          `json:"changed"`
	Differences []difference `json:"differences"` // the first few
}

type difference struct {
	ID    string `json:"id"`
	Field string `json:"field"` // empty: the whole document was added or removed
	Old   string `json:"old"`
	New   string `json:"new"`
}

func documentOf(op engine.Operation) operationDocument {
	d := operationDocument{ID: op.ID, Kind: op.Kind, State: op.State, Position: op.Position, Head: op.Head, HeldBack: op.HeldBack, Error: op.Error}
	switch {
	case op.State == engine.OperationDone:
		d.Percent = 100
	case op.Head > 0:
		d.Percent = int(min(100*op.Position/op.Head, 100))
		d.PerSec, d.Seconds = op.PerSecond, int64(op.Left.Seconds())
	}
	for i := range op.Compared {
		c := &op.Compared[i]
		view := compared{c.View, c.New, c.Old, c.Same, c.Added, c.Removed, c.Changed, []difference{}}
		for _, one := range c.First {
			view.Differences = append(view.Differences, difference(one))
		}
		d.Views = append(d.Views, view)
	}
	return d
}

// rebuild starts to build the views again; the work outlives the request.
func (s *server) rebuild(w http.ResponseWriter, r *http.Request, _ *values) error {
	op, err := s.Engine.Rebuild(s.outliving(r))
	if err != nil {
		return err
	}
	return accepted(w, op)
}

// accepted answers that an operation has started, and where it can be looked at.
func accepted(w http.ResponseWriter, op engine.Operation) error {
	w.Header()["Location"] = []string{"/v1/admin/operations/" + op.ID}
	return answerValue(w, http.StatusAccepted, documentOf(op))
}

func (s *server) operation(w http.ResponseWriter, r *http.Request, _ *values) error {
	op, err := s.Engine.Operation(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answerValue(w, http.StatusOK, documentOf(op))
}

type healthDocument struct {
	Status string  `json:"status"`
	Checks []Check `json:"checks,omitempty"`
}

// live answers as long as the process can answer at all; nothing outside of it is asked.
func (s *server) live(w http.ResponseWriter, _ *http.Request, q *values) error {
	q.verbose()
	if err := q.fault(); err != nil {
		return err
	}
	return answerValue(w, http.StatusOK, healthDocument{Status: "ok"})
}

// ready answers whether the process can do its work.
func (s *server) ready(w http.ResponseWriter, r *http.Request, q *values) error {
	verbose := q.verbose()
	if err := q.fault(); err != nil {
		return err
	}
	d, status := healthDocument{Status: "ok"}, http.StatusOK
	checks := s.Ready(r.Context(), verbose) // a balancer is not to wait for what is not needed
	for _, c := range checks {
		if c.Needed && !c.OK {
			d.Status, status = "unavailable", http.StatusServiceUnavailable
		}
	}
	if verbose {
		d.Checks = checks
	}
	if status != http.StatusOK {
		w.Header()["Retry-After"] = []string{"1"}
	}
	return answerValue(w, status, d)
}

// verbose reads ?verbose, with or without a value.
func (q *values) verbose() bool {
	return q.has("verbose") && (q.query.Get("verbose") == "" || q.flag("verbose"))
}
