package archive

import (
	"testing"

	"gocloud.dev/blob/memblob"

	"daybook/core/ports"
	"daybook/test/contract"
)

func TestContractInMemory(t *testing.T) {
	contract.Archive(t, func(t *testing.T) func(*testing.T) ports.Archive {
		m := inMemory()
		return func(t *testing.T) ports.Archive { return opened(t, m) }
	})
}

func TestContractInAFolder(t *testing.T) {
	contract.Archive(t, func(t *testing.T) func(*testing.T) ports.Archive {
		url := "file://" + t.TempDir()
		return func(t *testing.T) ports.Archive {
			a, err := Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
	})
}

// shared is a storage that several archives use, and that stays open.
type shared struct{ storage }

// inMemory is an empty storage.
func inMemory() shared { return shared{newBlobs(memblob.OpenBucket(nil), "", patience)} }

// close is per archive: the objects stay.
func (s shared) close() error { return nil }

func opened(t testing.TB, s storage) *Archive {
	t.Helper()
	a, err := newArchive(s, "mem://")
	if err != nil {
		t.Fatal(err)
	}
	return a
}
