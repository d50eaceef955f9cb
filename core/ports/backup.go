package ports

import (
	"context"

	"daybook/core/es"
	"daybook/core/fault"
)

// Faults of backups.
var (
	// ErrBackupRefused: the directory cannot take a backup, or has none.
	ErrBackupRefused = fault.New(fault.Conflict, "backup_refused", "The directory cannot be used for this; nothing was done.")
	// ErrBackupElsewhere: the store is backed up by tools of its own.
	ErrBackupElsewhere = fault.New(fault.Rejected, "backup_elsewhere", "Daybook copies the embedded store alone. A database is backed up by its own tools: pg_dump --format=custom, or pg_basebackup; see daybook backup --help.")
)

// Backup says what a backup holds: the store up to a position, and the hash of all of it.
type Backup struct {
	Position es.Position
	Root     es.Hash
}

// BackupStore is a Store that can copy itself while it is used.
type BackupStore interface {
	Store
	// Backup copies the store into a directory that does not exist yet. What it holds is the store as it was at one moment of
	// the call; half a backup is never found under that name. Nobody who writes waits for it.
	Backup(ctx context.Context, dir string) (Backup, error)
}
