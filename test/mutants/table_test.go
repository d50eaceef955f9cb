package mutants

// mutant is a bug that was planted on purpose.
type mutant struct {
	patch string   // the file with it, without its end
	bug   string   // as it is known from systems of this kind
	here  string   // what the patch makes of it in this program, where the two differ
	in    string   // the package of the test that must fail
	run   string   // its name, as for -run
	flags []string // of that test
	says  string   // what that test says
}

// all are the planted bugs.
var all = []mutant{
	{patch: "01-ack-before-commit", bug: "A command is acknowledged before it is committed.",
		in: "core/engine", run: "TestWhenTheStoreFails", says: "a commit that failed was answered with success"},
	{patch: "02-outcome-outside-the-transaction", bug: "The row of an idempotency key is written outside of the transaction.",
		in: "core/engine", run: "TestWhenTheStoreFails", says: "sent again after an unknown outcome, a command has its effect twice"},
	{patch: "03-fingerprint-ignores-the-body", bug: "The fingerprint under an idempotency key ignores the body.",
		in: "core/engine", run: "TestARetry", says: "another command gets the answer of the first one"},
	{patch: "04-checkpoint-before-the-views", bug: "The checkpoint is saved before the projection.",
		here: "The views' checkpoint is written by a write of its own, before their documents, instead of with them.",
		in:   "test/sim", run: "TestWhatClientsAreToldHoldsWhateverHappens", flags: []string{"-seeds", "300"}, says: "views show less than the events say, and do not catch up"},
	{patch: "05-projection-is-not-idempotent", bug: "The projection is not idempotent.",
		here: "An event that comes a second time is folded a second time. Documents are whole, so it does not count twice: it does not fit, and parks its account.",
		in:   "test/sim", run: "TestWhatClientsAreToldHoldsWhateverHappens", flags: []string{"-seeds", "300"}, says: "an account is parked"},
	{patch: "06-no-guard-against-gaps", bug: "Readers go by `position > last`, and nothing guards against gaps.",
		here: "Positions have no gap, and those who read rest on that; what every store checks at each commit lets gaps pass.",
		in:   "adapters/memstore", run: "TestContract/a_commit_refuses", says: "a batch that leaves a gap behind the head is taken"},
	{patch: "07-relay-goes-on-without-the-bus", bug: "An entry of the outbox is deleted before the broker has confirmed it.",
		here: "The store is the outbox, and the relay's checkpoint says what is done: it moves past events that the bus did not take.",
		in:   "test/sim", run: "TestWhatClientsAreToldHoldsWhateverHappens", flags: []string{"-seeds", "100"}, says: "the bus was not given every event"},
	{patch: "08-retry-without-the-expected-version", bug: "A retry no longer expects the version that its command did.",
		here: "Nothing is decided a second time here; a command that expects a version is carried out although the stream has gone on.",
		in:   "core/engine", run: "TestABatch", says: "a command that expects an older version is taken"},
	{patch: "09-unchecked-addition", bug: "64-bit integers are added without a check.",
		here: "A deposit is not held against the largest balance there may be, 2^53-1.",
		in:   "core/account", run: "TestAccount", says: "a deposit past 2^53-1 is taken"},
	{patch: "10-hash-leaves-out-the-metadata", bug: "The hash of an event leaves out its metadata.",
		in: "core/es", run: "TestTheHashOfAnEventIsFrozen|TestAnyChangeOfAnEvent", says: "a bit of the metadata was changed, and nobody can tell"},
	{patch: "11-chain-begins-again-after-a-snapshot", bug: "The chain of hashes begins again after a snapshot.",
		here: "A state from a snapshot does not know its hash, and the seal takes that for the start of a stream.",
		in:   "adapters/pebblestore", run: "TestContract/every_event's_hash_binds_it", says: "an event's hash is not over the one before it"},
	{patch: "12-snapshot-newer-than-the-store", bug: "A snapshot that is newer than the store is used.",
		in: "core/engine", run: "TestABadSnapshotIsIgnored", says: "a state has events that the store does not"},
	{patch: "13-upcaster-drops-a-field", bug: "An upcaster drops a field.",
		here: "The one that adds a member drops the last one there was.",
		in:   "core/es", run: "TestCopyMemberAddsAMember", says: "a member is missing"},
	{patch: "14-wall-clock-as-the-order", bug: "The wall clock gives the order.",
		here: "A command is recorded at the time of the clock, also when that is not after the last one.",
		in:   "core/engine", run: "TestRecordedTimeRises", says: "after a clock went back, nothing can be written: the store refuses times that do not rise"},
	{patch: "15-error-of-the-commit-is-swallowed", bug: "`defer tx.Rollback` swallows the error of the commit.",
		here: "The embedded store answers that a batch is durable although its write failed.",
		in:   "adapters/pebblestore", run: "TestAWriteThatMustNotFail", says: "a write that failed is acknowledged"},
	{patch: "16-owner-is-checked-in-lists-alone", bug: "Who owns an account is checked in lists alone (BOLA).",
		here: "Views and histories of single accounts are shown to everybody who may read any.",
		in:   "adapters/httpapi", run: "TestAnothersAccountIsAnswered", says: "another's account is answered with 200"},
	{patch: "17-feed-resumes-at-the-id", bug: "A feed of server-sent events goes on at `Last-Event-ID` instead of after it.",
		in: "adapters/httpapi", run: "TestTheFeedReplays", says: "an event comes twice"},
	{patch: "18-retry-skips-the-order", bug: "What is tried again is tried out of order.",
		here: "Dead letters are commands that can never succeed, so no order waits for them. What waits is the lane of commands that come as messages: it lets one pass another that has to come again.",
		in:   "core/engine", run: "TestALaneKeepsTheOrder", says: "commands of one lane are carried out in another order"},
	{patch: "19-lease-without-a-fence", bug: "A lease has no fencing token.",
		here: "A checkpoint is saved for whoever has ever held the lease.",
		in:   "adapters/memstore", run: "TestContract/a_checkpoint_is_not_moved", says: "who has lost the lease moves the checkpoint"},
	{patch: "20-purge-of-what-was-not-read-back", bug: "Events are purged from the store without a look at the checksum of their archive.",
		here: "What was written to the archive, after which the store forgets it, is not read back and compared.",
		in:   "adapters/archive", run: "TestWhatIsReadBackOtherwise", says: "a segment that cannot be read back is taken for archived"},
}
