package faulttable

// The headings of the table.
const (
	process    = "Commands and processes"
	storage    = "Storage"
	messages   = "Messages and the bus"
	limits     = "Time, data and limits"
	lifecycle  = "Views, builds and copies"
	noDatabase = "the embedded program has no server to lose."
	ownProcess = "on the servers, where this part of the program is the same."
	noBroker   = "the embedded program's bus is memory of the same process."
)

// Rows are all faults, in order.
func Rows() []Row {
	return []Row{
		{"F1", process, "kill -9 before the commit", "The client loses its connection. Sent again with its key, the command happens once; nothing is written by half.", ""},
		{"F2", process, "kill -9 after the commit, before the answer", "Sent again with its key, the command gets the answer it would have got, with `Idempotency-Replayed: true`, and no second event.", ""},
		{"F3", process, "kill -9 between the commit and the publishing", "The event is on the bus after the restart, or from another process, without anybody's doing. `daybook_relay_lag_events` shows it meanwhile.", noBroker},
		{"F4", process, "kill -9 after the publishing, before it was noted", "The event may come twice, with the same id; no view changes by that.", noBroker},
		{"F5", process, "kill -9 between a view's documents and its checkpoint", "The views are right after the restart.", ""},
		{"F6", process, "a storm of kill -9 under load", "Nothing that was acknowledged is lost, and commands are taken again within seconds of each start.", ""},
		{"F7", process, "SIGSTOP for longer than a lease, then SIGCONT", "Another process takes the work over. The one that stood still changes nothing afterwards: no checkpoint, token or view goes back.", "one embedded process has nobody to take over from it."},
		{"F8", process, "SIGTERM under load", "`/readyz` says 503 first, and requests are still answered for `http.stop-delay` seconds. Then the listener closes, what was taken in is answered, the exit code is 0, and the store holds exactly what was acknowledged. Behind a balancer no request fails.", ""},
		{"F9", process, "a second SIGTERM or Ctrl-C while it stops", "It ends at once, and the store is whole.", ""},
		{"F10", process, "a panic in a rule, a handler or a projection", "500 `internal` with a request id; the process goes on; the views park the account whose event it was.", ""},
		{"F11", process, "several processes start on an empty database at once", "All come up, and the tables are made once.", "a second process on one embedded store is refused with words."},
		{"F12", process, "two processes write one account", "One command after another, as if there were one process.", "a second process on one embedded store is refused with words."},
		{"F13", process, "two relays or projectors at once", "One works at a time, by a lease with a token that never goes back; another takes over within 3 s of a kill.", "one embedded process is alone."},

		{"F14", storage, "the disk is full", "Commands get 503 `store_full`, reads go on, and commands are taken again when there is room. Of the embedded store's disk a warning is logged at four fifths.", ""},
		{"F15", storage, "fsync fails", "The command is told that its outcome is unknown; the process takes no command until it is started again, as a second fsync proves nothing.", "PostgreSQL does so by itself: it ends and recovers (see F22)."},
		{"F16", storage, "power loss: what was not synced is gone", "Nothing that was acknowledged is lost.", "PostgreSQL's own log, which is its own promise."},
		{"F17", storage, "a torn or cut end of the log", "An end that nobody was told of is cut off. What was acknowledged and is damaged is refused at the start, with words. Never a wrong balance.", "PostgreSQL's own log, which is its own promise."},
		{"F18", storage, "a flipped bit in an event", "Reading it fails, `daybook verify` names position and account, and other accounts go on.", "below PostgreSQL; its pages have checksums, and a value that differs in a row is F19."},
		{"F19", storage, "an event edited, deleted, swapped or added behind Daybook's back", "`daybook verify` fails with exit code 7 and names the first position and what is wrong there.", ""},
		{"F20", storage, "all hashes made anew by somebody with the store in hand", "Found with a checkpoint that was kept elsewhere.", ""},
		{"F21", storage, "a snapshot that is cut, altered, of another account, of another shape or ahead of the store", "It is passed over with a warning and a count in `daybook_background_failures_total`, and made again; no balance is wrong.", ""},
		{"F22", storage, "the database is restarted or killed under load", "503 `store_unavailable` with `Retry-After` for seconds; then all goes on without a restart, and nothing acknowledged is lost.", noDatabase},
		{"F23", storage, "the network to the database swallows everything", "503 within a bound, `/readyz` 503, `/livez` 200; all goes on when the network is back.", noDatabase},
		{"F24", storage, "the connection is cut inside the answer to a commit", "The outcome is found out and answered; who can be told nothing is told `\"outcome\":\"unknown\"`, and the key settles it.", noDatabase},
		{"F25", storage, "the database answers seconds late", "Commands are slow or 503, never more than the queue holds; reads from views go on.", noDatabase},
		{"F26", storage, "a copy that lags is read", "Commands never decide on it. Answers say how far the view was, and `minPosition` waits for more.", ""},
		{"F27", storage, "commits in another order than their numbers", "No follower ever skips an event, and one that was rolled back holds nobody up.", ""},
		{"F28", storage, "a serialization failure or a lock in the way", "They wait for their turn, or get 503 `store_unavailable`; never 500.", noDatabase},
		{"F29", storage, "all connections of the pool are in use", "503 `store_unavailable` within a bound.", noDatabase},
		{"F30", storage, "a start killed while it makes or changes tables", "The next start finishes it, wherever it was killed; a database of a later build is refused with words.", ""},

		{"F31", messages, "the broker is down or restarts", "Commands are taken as ever. Events wait in the store and go out when it is back.", noBroker},
		{"F32", messages, "a command by message comes twice", "One effect, and the same answer.", ""},
		{"F33", messages, "events come in another order", "Views follow versions and stay right.", ""},
		{"F34", messages, "a published event is lost or not confirmed", "It is published again; views follow the store and need no message.", ""},
		{"F35", messages, "a command by message that fails each time", "It is tried again a bounded number of times with pauses, then waits in the dead letters with the reason; later ones of the same account wait for it while it is tried, other accounts flow.", ""},
		{"F36", messages, "a message that is no command", "It goes to the dead letters at once, with the reason; what is behind it goes on.", ""},
		{"F37", messages, "a client of the feed that reads slowly", "The client is cut off in the end and goes on after its `Last-Event-ID` without a gap.", "how much memory such clients take: one page each."},
		{"F38", messages, "a consumer dies or stops with messages in hand", "Another one gets them; each command is applied once and in order.", noBroker},
		{"F39", messages, "a zombie among the consumers of a group", "See F38 and F13.", "there is no bus with consumer groups that take each other's partitions."},
		{"F40", messages, "the bus takes no more", "Publishing waits; nothing is dropped in silence.", ""},

		{"F41", limits, "the clock jumps back or ahead", "Recorded time rises with every command all the same, and questions about the past keep their answers.", ""},
		{"F42", limits, "a client gives a time of its own", "It is the effective time and never the order; both axes can be asked for.", ""},
		{"F43", limits, "amounts that are too big, negative, zero, fractions or no numbers", "400 or 422 with the field and the limit; the balance stays as it was.", ""},
		{"F44", limits, "a body that is huge, deep or compressed, or that never ends", "413, 400 or 415, or the connection is closed after seconds; memory stays flat and others are not disturbed.", ""},
		{"F45", limits, "invalid UTF-8, members twice, a byte order mark, NUL, other digits", "400 with the pointer of the field.", ""},
		{"F46", limits, "an idempotency key with another body", "422 `idempotency_key_mismatch`; the first answer stays.", ""},
		{"F47", limits, "the same key a hundred times at once", "One effect; all get the same answer, all but one of them as a replay.", ""},
		{"F48", limits, "a key that is missing, too long or old", "400 where one is needed or too long. A success is known as long as its events, a refusal for 24 h.", ""},
		{"F49", limits, "an error and then a retry", "A refusal by the rules is an answer and is replayed; a failure of ours is not kept, and the retry may succeed.", ""},
		{"F50", limits, "some lines of a bulk request fail", "Each line has its own answer; with `atomic=true` all or nothing.", ""},
		{"F51", limits, "memory is short", "The process stays within what it is given, or ends and loses nothing that was acknowledged.", ownProcess},
		{"F52", limits, "file descriptors are used up", "New connections wait or are refused; those that are there go on, and all is well when they are free again.", ownProcess},
		{"F53", limits, "a mistake in the configuration", "It does not start, and one line says key, source, what is allowed and what was perhaps meant; secrets are not shown.", ""},

		{"F54", lifecycle, "a mistake in a projection, mended by a rebuild", "Queries are answered from the old views until the new ones are swapped in, with progress, and a report of what was different.", ""},
		{"F55", lifecycle, "a rebuild during writes", "It comes to the same views as following did, and nothing outside is told twice.", ""},
		{"F56", lifecycle, "a kill in a rebuild", "Another process goes on with it, or it begins anew; readers see whole views throughout.", ""},
		{"F57", lifecycle, "the views' index is deleted", "It is noticed and filled again; lists get 503 `view_rebuilding` meanwhile, never an empty list.", "views in memory cannot be deleted from outside."},
		{"F58", lifecycle, "the views are edited by hand", "`daybook rebuild` finds each document that differs, names the first ones, and puts all right.", ""},
		{"F59", lifecycle, "a later build reads what every build before wrote", "Every event, snapshot and archive is read.", ""},
		{"F60", lifecycle, "an older build meets an event of a later one", "It decides nothing on that account and shows none of it wrongly: 503 `later_build` and `/v1/status` say which schema is needed. Other accounts go on.", ""},
		{"F61", lifecycle, "old and new build at once", "The old one does as in F60, and a retry that reaches the new one succeeds. Nothing is lost or misread in whatever order they are replaced, and afterwards nothing is left to do.", "one embedded process is alone on its store."},
		{"F62", lifecycle, "the archive: killed at each step, altered, missing, silent", "Events leave the store only after what was archived was read back; damage is named with file, block and positions. One that falls silent is given up after 5 s: what needs it gets 503 `archive_unavailable` at once from then on, until it is back.", ""},
		{"F63", lifecycle, "a backup is restored into an empty place", "Positions, hashes and keys are the same; `restore` prints the hash that `backup` printed.", ""},
		{"F64", lifecycle, "an operator's mistake: the wrong account, a file imported twice", "A correction undoes an entry and both stay visible; a second import adds nothing; a dry run writes nothing.", ""},
		{"F65", lifecycle, "a server is down at the start", "Without its database it ends with words and a code within a bound; without its bus or its views it starts, and lists say 503. Without its archive it starts, and what needs old events gets 503 `archive_unavailable`; an archive that turns out to be another ledger's is neither read nor added to.", ""},
		{"F66", lifecycle, "all of it mixed, for a day", "Flat memory, no lag, everything right.", "how a whole day goes: [what is known](#a-soak) is of a quarter of an hour."},
	}
}
