package faultbuild

// Point is one crash point: a comment `// gofail: var NAME struct{}` in the program, at which the fault build stops when told to.
type Point struct {
	Name  string
	Scene Scene
	On    On
	Place string // what is done by then, and what is not
	When  When
	Most  int // times the program may pass it before it stops, so that it is still reached
}

// Scene is what the program is about when it dies.
type Scene string

// The scenes, and what users see of a death in each of them.
const (
	Beginning Scene = "a first start"
	Command   Scene = "a command over HTTP"
	Message   Scene = "a command by message"
	Follower  Scene = "the work behind commands"
	Snapshot  Scene = "the writing of snapshots"
	Rebuild   Scene = "a rebuild of the views"
	Archive   Scene = "an archival"
	Backup    Scene = "a backup"
	Restore   Scene = "a restore"
)

// On is which programs have the point.
type On uint8

// The programs, as users run them.
const (
	Embedded   On = 1 << iota // Pebble, views in memory, a bus in the process
	Production                // PostgreSQL, RabbitMQ, Elasticsearch
	Both       = Embedded | Production
)

func (o On) String() string {
	return [...]string{"", "embedded", "production", "both"}[o]
}

// When is when the point is passed.
type When uint8

// A point is passed under load, on request alone, or by a start.
const (
	Running When = iota
	Starting
)

// Points are all of them, in the order in which a command, an event, a view passes them.
func Points() []Point {
	return []Point{
		{"pebbleMidCreate", Beginning, Embedded, "the folder of a store is marked as one and locked, and nothing else is in it", Starting, 1},
		{"midMigration", Beginning, Production, "the statements of a migration are done, its transaction is not committed", Starting, 4},

		{"beforeDecode", Command, Both, "a request has come, nothing of it was read", Running, 60},
		{"afterDecode", Command, Both, "the request is read and well formed", Running, 60},
		{"afterAuthz", Command, Both, "who asks and what they may do is known, the command is not queued", Running, 60},
		{"beforeLoad", Command, Both, "the command is in a batch, its account is not in memory", Starting, 15},
		{"afterLoad", Command, Both, "its account is read from the store", Starting, 15},
		{"beforeTxBegin", Command, Both, "all that can be known without the lock is known", Running, 20},
		{"afterTxBegin", Command, Both, "the store's lock is held", Running, 20},
		{"afterDecide", Command, Both, "the batch is decided, in memory", Running, 20},
		{"pebbleAfterInsertEvents", Command, Embedded, "the write to Pebble has the events, the outcomes are not in it yet", Running, 20},
		{"pebbleBeforeCommit", Command, Embedded, "the write has the outcomes too, nothing of it is on disk", Running, 20},
		{"pgBeforeCommit", Command, Production, "all statements are made, and nothing was sent to PostgreSQL", Running, 20},
		{"pgAfterSend", Command, Production, "events, outcomes and the commit are on their way to PostgreSQL, and no answer was read: nobody knows", Running, 20},
		{"pebbleAfterCommit", Command, Embedded, "the batch is on disk, the store has not said so", Running, 20},
		{"pgAfterCommit", Command, Production, "PostgreSQL has answered the commit, the store has not said so", Running, 20},
		{"afterCommitBeforeAck", Command, Both, "the store has said that the batch is durable, nobody else knows", Running, 20},
		{"afterAck", Command, Both, "the answers are given to those who wait, some may have reached their clients", Running, 20},

		{"beforeDecodeMessage", Message, Production, "a message has come, nothing of it was read", Running, 60},
		{"afterDecodeMessage", Message, Production, "the command is read, and not queued", Running, 60},
		{"beforeReply", Message, Production, "the command is durable, its answer was not sent", Running, 60},
		{"afterReplyBeforeMark", Message, Production, "the answer is with the broker, the message is not acknowledged", Running, 60},

		{"beforePublish", Follower, Both, "the relay has read events, nothing of them is on the bus", Running, 8},
		{"afterPublishBeforeConfirm", Follower, Production, "an event is on its way to RabbitMQ, which has not confirmed it", Running, 60},
		{"afterConfirmBeforeMark", Follower, Both, "the bus has the events, the relay has not noted it", Running, 8},
		{"afterMark", Follower, Both, "the relay has noted how far it is", Running, 5},
		{"beforeProject", Follower, Both, "the views of some events are made, nothing of them is written", Running, 4},
		{"afterProjectBeforeCheckpoint", Follower, Production, "documents are in Elasticsearch and shown, the checkpoint is not moved", Running, 4},
		{"afterCheckpoint", Follower, Both, "the views are written and their checkpoint is moved", Running, 4},
		{"memviewsMidKeep", Follower, Embedded, "a record is at the end of the views' log, the process does not know", Running, 3},

		{"beforeSnapshotWrite", Snapshot, Both, "states of accounts are encoded, nothing of them is written", Running, 3},
		{"afterSnapshotWrite", Snapshot, Both, "the snapshots are written", Running, 3},

		{"midRebuild", Rebuild, Both, "the views beside are filled, and closed to readers", Running, 1},
		{"beforeRebuildSwap", Rebuild, Both, "the views beside are compared with those that readers see", Running, 1},
		{"memviewsMidSwap", Rebuild, Embedded, "what was kept of the old views is removed, readers still see them", Running, 2},
		{"elasticMidSwap", Rebuild, Production, "readers see the new views, the old ones are not removed", Running, 1},
		{"memviewsBeforeRename", Rebuild, Embedded, "the file of the new views is written under another name", Running, 2},
		{"memviewsAfterRename", Rebuild, Embedded, "the file has its name, and the log beside it is that of the old views", Running, 2},

		{"beforeArchiveUpload", Archive, Both, "each account of a segment has a snapshot, nothing of the segment is in the archive", Running, 2},
		{"afterUploadBeforeConfirm", Archive, Both, "the segment is in the archive and read back, its manifest does not name it", Running, 2},
		{"afterConfirmBeforePurge", Archive, Both, "the manifest names the segment, the store still has its events", Running, 2},
		{"pebbleMidPurge", Archive, Embedded, "the store has forgotten the events on disk, the process does not know", Running, 2},
		{"pgMidPurge", Archive, Production, "the rows are emptied in a transaction that is not committed", Running, 2},

		{"midBackup", Backup, Embedded, "a store, that of the access ledger or then that of accounts, is copied and was opened, the copy has no manifest", Running, 2},
		{"beforeBackupRename", Backup, Embedded, "the copy is whole and durable, under another name", Running, 2},

		{"midRestore", Restore, Embedded, "all files of the backup are copied and compared, but for the one that makes the folder a store", Starting, 1},
	}
}
