package faults

import (
	"testing"
	"time"

	"daybook/test/cluster"
)

func TestProcessesKilledAtRandomLoseNothingAndDoNothingTwice(t *testing.T) {
	w := start(t)
	all := w.cluster.Programs()
	worst := cluster.Spell{}
	for range times(8) {
		w.lasts(time.Duration(w.random.IntN(300)) * time.Millisecond)
		p := all[w.random.IntN(len(all))]
		s := w.during("kill -9 of the "+p.Name(), func() {
			p.Kill()
			w.lasts(time.Duration(w.random.IntN(300)) * time.Millisecond)
			p.Start()
		})
		if s.Silence > worst.Silence {
			worst = s
		}
	}
	t.Logf("the worst of %d kills: %v", times(8), worst)
	w.settle()
}
