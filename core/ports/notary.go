package ports

// Notary signs checkpoints, with a key that the store does not have. All methods may be called concurrently.
type Notary interface {
	// Origin names the ledger in its checkpoints: one line without spaces.
	Origin() string
	// Sign gives the text with a signature, as a note that stands for itself (C2SP signed-note).
	Sign(text string) (note string, err error)
}
