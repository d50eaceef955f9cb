//go:build race

package sim

// slow says that the race detector watches, with which a run takes some ten times as long.
const slow = true
