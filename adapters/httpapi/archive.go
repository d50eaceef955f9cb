package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
)

func (s *server) archiveRoute() route {
	before := queryParam("before", timeSchema(), "Events recorded earlier than this.")
	before.Required = true
	without := queryParam("without", &huma.Schema{Type: "string"}, "Followers of the feed that there are no more, with commas between: they hold nothing back.")
	return route{method: http.MethodPost, path: "/v1/admin/archive", right: access.Archive, operation: describeArchive(), serve: s.archive, params: []*huma.Param{before, without}, privilege: writtenUp, costly: always}
}

func describeArchive() huma.Operation {
	op := operation("archive-events", "operations", "Move old events to the archive",
		"Everything goes on meanwhile, and is answered from the archive afterwards as before. What a follower or a view has not taken yet stays.")
	answers(&op, http.StatusAccepted, "It has started.", jsonMedia, ref("Operation"), "Location")
	addFaults(&op, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

// archive starts to move old events away; the work outlives the request.
func (s *server) archive(w http.ResponseWriter, r *http.Request, q *values) error {
	before := q.moment("before")
	if !q.has("before") {
		q.refuse("before", "is missing: a time, such as 2025-01-01T00:00:00Z")
	}
	if err := q.fault(); err != nil {
		return err
	}
	var without []string
	if q.has("without") {
		without = strings.Split(q.query.Get("without"), ",")
	}
	op, err := s.Engine.Archive(s.outliving(r), before, without)
	if err != nil {
		return err
	}
	return accepted(w, op)
}
