package httpapi

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"slices"

	"daybook/adapters/auditlog"
	"daybook/adapters/tokens"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/fault"
	"daybook/core/ports"
)

// known are the faults that can reach a client, apart from the modules' own.
var known = []*fault.Fault{
	fault.Of(nil), wire.ErrInvalidBody, wire.ErrInvalidField, wire.ErrUnknownCommand,
	errNoRoute, errInvalidPath, errInvalidID, errMethod, errBodyTooLarge, errBodyBroken, errTimeout, errMediaType, errInvalidHeader,
	errInvalidParam, errInvalidCursor, errLineTooLong, errTooManyLines, errTooManyStreams, errBrokenOff, errNoAPI, errCrossSite, errForeignHost, errRateLimited, errNoReason,
	access.ErrUnauthenticated, access.ErrForbidden, access.ErrNoKey, access.ErrKeyRefused, access.ErrKeyEnded, tokens.ErrIssuerUnavailable, auditlog.ErrUnwritten, engine.ErrNotAccepted,
	engine.ErrOverloaded, engine.ErrStopping, engine.ErrClientLeft, engine.ErrVersionMismatch, engine.ErrKeyMismatch, engine.ErrEffectiveInFuture, engine.ErrCommandLimit, engine.ErrDayLimit,
	engine.ErrAtomicRefused, engine.ErrStreamUnreadable, engine.ErrLaterBuild, engine.ErrNoVersion, engine.ErrNoEvent, engine.ErrPositionAhead,
	engine.ErrViewBehind, engine.ErrNoCheckpoints, engine.ErrNoOperation, engine.ErrRebuildRunning, engine.ErrNoArchive, engine.ErrArchiveUnbacked, engine.ErrArchiveRunning, engine.ErrBehindFailure,
	ports.ErrArchiveUnavailable, ports.ErrArchiveMissing, ports.ErrArchiveDamaged, ports.ErrBackupRefused, ports.ErrBackupElsewhere, engine.ErrOtherLedger, engine.ErrImportUnfinished,
	ports.ErrStoreUnavailable, ports.ErrStoreFull, ports.ErrOutcomeUnknown, ports.ErrStoreClosed, ports.ErrBatchRefused, ports.ErrSealBroken, ports.ErrVersionConflict,
	ports.ErrNoDocument, ports.ErrViewRebuilding, ports.ErrViewParked, ports.ErrViewUnavailable, ports.ErrCheckpointMoved,
	ports.ErrBusUnavailable, ports.ErrBusClosed, ports.ErrNoDeadMessage, ports.ErrLeaseHeld, ports.ErrLeaseLost,
}

// codeRow is one code on the page.
type codeRow struct {
	Code   string
	Status int
	Text   string
}

// codes are all codes with their statuses and sentences, by code.
func (s *server) codes() []codeRow {
	all := slices.Clone(known)
	for _, m := range s.Engine.Registry.Modules {
		all = append(all, m.Refusals...)
		all = append(all, fault.New(fault.NotFound, m.Noun+"_not_found", "There is no "+m.Noun+" with this id."))
	}
	var rows []codeRow
	for _, f := range all {
		rows = append(rows, codeRow{f.Code, wire.Status(f), f.Msg})
	}
	slices.SortStableFunc(rows, func(a, b codeRow) int { return cmp.Compare(a.Code, b.Code) })
	return slices.CompactFunc(rows, func(a, b codeRow) bool { return a.Code == b.Code })
}

var codesPage = template.Must(template.New("codes").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Daybook: error codes</title>
<style>
body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5; }
td, th { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid #ccc; }
tr:target { background: #ffc; }
</style></head>
<body>
<h1>Error codes</h1>
<p>Every error is answered as <code>application/problem+json</code>. Its <code>code</code> is stable; its <code>detail</code> says what
was wrong this time. Status 429 and 503 come with <code>Retry-After</code>. An answer with <code>"outcome":"unknown"</code> means that the
command may or may not have happened: send it again with the same idempotency key to find out.</p>
<table>
<tr><th>Code</th><th>Status</th><th>Meaning</th></tr>
{{range .}}<tr id="{{.Code}}"><td><code>{{.Code}}</code></td><td>{{.Status}}</td><td>{{.Text}}</td></tr>
{{end}}</table>
</body>
</html>
`))

// errorsPage serves the page that the type of every problem leads to.
func (s *server) errorsPage(w http.ResponseWriter, _ *http.Request, _ *values) error {
	var page bytes.Buffer
	if err := codesPage.Execute(&page, s.codes()); err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"], h["Content-Security-Policy"] = []string{htmlType}, pagePolicy(page.Bytes())
	_, _ = w.Write(page.Bytes()) // a client that left is no failure of ours
	return nil
}
