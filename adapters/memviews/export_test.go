package memviews

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"daybook/core/es"
)

// KeepIn writes what readers see to a file in a folder, as a keeper does.
func (v *Views) KeepIn(ctx context.Context, dir string) error {
	log, err := os.Create(filepath.Join(dir, logName))
	if err != nil {
		return err
	}
	k := keeper{views: v, dir: dir, shape: es.Hash{1}, log: log, whole: true}
	return errors.Join(k.save(ctx), log.Close())
}
