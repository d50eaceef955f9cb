package httpapi

import (
	"net/http"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/ports"
)

func (s *server) backupRoute() route {
	dir := queryParam("dir", &huma.Schema{Type: "string", MinLength: ptr(1), Examples: []any{"/var/backups/monday"}},
		"A directory on the server's machine, with its whole path, that does not exist yet.")
	return route{method: http.MethodPost, path: "/v1/admin/backup", right: access.Backup, operation: describeBackup(), serve: s.backup, params: []*huma.Param{dir}, privilege: writtenUp, costly: always}
}

func describeBackup() huma.Operation {
	op := operation("back-up", "operations", "Copy the embedded store into a directory", "The access ledger, if there is one, is copied beside it. Commands go on meanwhile. `daybook restore` makes a store of it.")
	held := func(doc string) *huma.Schema {
		return with(with(object(doc), "position", numberSchema(0, es.MaxAmount)), "root", textSchema(64))
	}
	answers(&op, http.StatusOK, "The backup is whole and durable.", jsonMedia,
		optionally(held("What a backup holds."), "access", held("The access ledger, in a directory of the same name with .access behind it.")))
	addFaults(&op, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

type backupDocument struct {
	Position es.Position     `json:"position"`
	Root     string          `json:"root"`
	Access   *backupDocument `json:"access,omitempty"`
}

func backupOf(b ports.Backup) backupDocument {
	return backupDocument{Position: b.Position, Root: b.Root.String()}
}

// backup copies the store. The time it takes is that of the disk, so the server's own deadlines do not count.
func (s *server) backup(w http.ResponseWriter, r *http.Request, q *values) error {
	dir := q.query.Get("dir")
	if !filepath.IsAbs(dir) {
		q.refuse("dir", "must be the whole path of a directory on the server's machine")
	}
	if err := q.fault(); err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{}) // a connection without deadlines is the server's choice
	b, err := s.Backup(r.Context(), dir)
	if err != nil {
		return err
	}
	d := backupOf(b.Backup)
	if b.Access != nil {
		d.Access = ptr(backupOf(*b.Access))
	}
	return answerValue(w, http.StatusOK, d)
}
