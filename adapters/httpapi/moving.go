package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/logfile"
	"daybook/core/access"
)

// movingRoutes are for taking the whole ledger elsewhere.
func (s *server) movingRoutes() []route {
	return []route{{method: http.MethodGet, path: "/v1/admin/export", right: access.Export, operation: describeExport(), serve: s.export, privilege: writtenUp, costly: always}, s.backupRoute(), s.archiveRoute()}
}

func describeExport() huma.Operation {
	op := operation("export-ledger", "operations", "The whole ledger, to be moved into another store",
		"Everything up to the last event of now: a header, every event as it is stored, the outcomes of commands, a trailer. An answer "+
			"without its last line was broken off. `daybook import-log` reads it.")
	answers(&op, http.StatusOK, "The lines.", linesType, &huma.Schema{Type: "string"})
	addFaults(&op, http.StatusServiceUnavailable)
	return op
}

// export streams the ledger. Once it has begun, a failure breaks the answer off.
func (s *server) export(w http.ResponseWriter, r *http.Request, _ *values) error {
	if err := s.Engine.MayExport(r.Context()); err != nil {
		return err
	}
	w.Header()["Content-Type"] = []string{linesType}
	if r.Method == http.MethodHead {
		return nil
	}
	out := &patientAnswer{w, http.NewResponseController(w), s.Patience, func() error { return s.goesOn(r) }}
	_ = out.control.SetReadDeadline(time.Time{})                     // nothing more is read, and the server's own deadline would end the answer
	defer func() { _ = out.control.SetWriteDeadline(time.Time{}) }() // it belongs to this answer, not to the connection
	if _, err := s.Engine.Export(r.Context(), logfile.NewWriter(out)); err != nil {
		s.Logger.Info("an export was broken off", "request", requestIDOf(w), "error", err)
		s.noteRefusal(r, requestIDOf(w), err, "")
		panic(http.ErrAbortHandler) // half a ledger must not look like a whole one
	}
	return nil
}

// patientAnswer gives each write a new deadline, so that a client that takes nothing is noticed, and ends with who may have it.
type patientAnswer struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	goesOn   func() error
}

func (p *patientAnswer) Write(b []byte) (int, error) {
	if err := p.goesOn(); err != nil {
		return 0, err
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience)) // a connection without deadlines is the server's choice
	return p.ResponseWriter.Write(b)
}
