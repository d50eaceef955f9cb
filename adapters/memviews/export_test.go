package memviews

import (
	"context"

	"daybook/core/es"
)

// KeepIn writes what readers see to a file in a folder, as a keeper does.
func (v *Views) KeepIn(ctx context.Context, dir string) error {
	k := keeper{views: v, dir: dir, shape: es.Hash{1}}
	return k.save(ctx)
}
