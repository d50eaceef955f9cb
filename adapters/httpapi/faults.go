package httpapi

import (
	"time"

	"daybook/core/fault"
)

// Faults of the door itself.
var (
	errNoRoute        = fault.New(fault.NotFound, "route_not_found", "There is nothing at this path. /docs lists what there is.")
	errInvalidPath    = fault.New(fault.Invalid, "invalid_path", "The path has an empty segment, or one that is a dot or two.")
	errInvalidID      = fault.New(fault.Invalid, "invalid_id", "The id in the path is not one.")
	errMethod         = fault.New(fault.Invalid, "method_not_allowed", "This path does not take this method; the header Allow says which it takes.")
	errBodyTooLarge   = fault.New(fault.Invalid, "body_too_large", "The body is larger than 65536 bytes.")
	errBodyBroken     = fault.New(fault.Invalid, "body_incomplete", "The body ended before it was complete.")
	errTimeout        = fault.New(fault.Invalid, "request_timeout", "The request did not get on for too long.")
	errMediaType      = fault.New(fault.Invalid, "unsupported_media_type", "The body is not of the content type that is taken here.")
	errInvalidHeader  = fault.New(fault.Invalid, "invalid_header", "A header of the request is malformed.")
	errInvalidParam   = fault.New(fault.Invalid, "invalid_parameter", "A parameter in the query is unknown or malformed.")
	errInvalidCursor  = fault.New(fault.Invalid, "invalid_cursor", "The cursor was not given by this list with these filters. Start without one.")
	errLineTooLong    = fault.New(fault.Invalid, "line_too_long", "The line is longer than 65536 bytes.")
	errTooManyLines   = fault.New(fault.Invalid, "too_many_lines", "An atomic request may have at most 1000 lines; nothing was done.")
	errTooManyStreams = fault.New(fault.Unavailable, "too_many_streams", "Too many live feeds are open. Try again later.").After(10 * time.Second)
	errBrokenOff      = fault.New(fault.Unavailable, "broken_off", "The request was broken off before anything was done.")
	errNoAPI          = fault.New(fault.NotFound, "api_not_served", "This process does not serve the API: it answers /livez, /readyz and /v1/status alone.")
	errRateLimited    = fault.New(fault.Unavailable, "rate_limited", "More requests than you may send; nothing was done. The header Retry-After says when to go on.")
	errNoReason       = fault.New(fault.Invalid, "reason_required", "Say why in the header Audit-Reason: this is not done without. Nothing was done.")
	errForeignHost    = fault.New(fault.Denied, "foreign_host", "The request names this server by a name that is not its own: use its address or localhost. Where nobody is asked who they are, a page of the web could point its name here.")
	errCrossSite      = fault.New(fault.Denied, "cross_site_request", "A browser sent this request for a page of another site.")
)
