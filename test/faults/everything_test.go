package faults

import (
	"testing"

	"daybook/test/servers"
)

func TestEverythingKilledAtOnceComesBackWithAllThatWasAnswered(t *testing.T) {
	if *rounds == 0 {
		t.Skip("SKIPPED: it starts three servers of its own over and over; give -faults.rounds=1 or more")
	}
	t.Parallel()
	own := []*servers.Instance{servers.Private(t, "postgres"), servers.Private(t, "rabbitmq"), servers.Private(t, "elasticsearch")}
	w := prepare(t, place{postgres: own[0].URL(), rabbit: own[1].URL(), elastic: own[2].URL()})
	w.pace = moment / 10
	w.up()
	for range times(1) {
		w.during("all processes and all servers killed with -9", func() {
			for _, p := range w.cluster.Programs() {
				p.Kill()
			}
			for _, s := range own {
				s.Kill()
			}
			for _, s := range own {
				s.Start()
			}
			for _, p := range w.cluster.Programs() {
				p.Start()
			}
		})
	}
	w.settle()
}
