package main

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// load is one step while it runs. Its connections share nothing that each request touches.
type load struct {
	*bench
	name     string    // tells the ids of this step from those of the others
	from, to time.Time // when a request must begin to be measured
	firstErr atomic.Pointer[string]
}

// worker is one connection's share of a load. Times are in microseconds.
type worker struct {
	*load
	number int // of the worker, from 0
	times  *hdr.Histogram
	done   int64
	errors int64
	ended  time.Time // the last measured answer
}

// longest is the longest time that is told apart, in microseconds.
const longest = 60_000_000

// step runs one step with n connections.
func (b *bench) step(ctx context.Context, n int) (step, error) {
	now := time.Now()
	l := &load{bench: b, name: strconv.FormatInt(now.UnixMicro(), 36), from: now.Add(b.warmup), to: now.Add(b.warmup + b.duration)}
	workers := make([]*worker, n)
	var running sync.WaitGroup
	for i := range workers {
		w := &worker{load: l, number: i, times: hdr.New(1, longest, 3)}
		workers[i] = w
		running.Go(func() {
			switch b.mode {
			case "bulk":
				w.bulk(ctx)
			case "visible":
				w.visible(ctx)
			default:
				w.closedLoop(ctx)
			}
		})
	}
	running.Wait()
	return l.result(workers), ctx.Err()
}

func (l *load) result(workers []*worker) step {
	all := hdr.New(1, longest, 3)
	s := step{Mode: l.mode, Connections: len(workers)}
	ended := l.to
	for _, w := range workers {
		all.Merge(w.times)
		s.Done += w.done
		s.Errors += w.errors
		if w.ended.After(ended) {
			ended = w.ended
		}
	}
	s.Seconds = ended.Sub(l.from).Seconds()
	millis := func(micros int64) float64 { return float64(micros) / 1000 }
	s.PerSecond = math.Round(float64(s.Done) / s.Seconds)
	s.P50, s.P99, s.P999, s.Max = millis(all.ValueAtQuantile(50)), millis(all.ValueAtQuantile(99)), millis(all.ValueAtQuantile(99.9)), millis(all.Max())
	if first := l.firstErr.Load(); first != nil {
		s.FirstError = *first
	}
	return s
}

// answered records n answers of one request that took from begun to ended, if it began within what is measured.
func (w *worker) answered(begun, ended time.Time, n int64) {
	if begun.Before(w.from) {
		return
	}
	w.done += n
	w.ended = ended
	_ = w.times.RecordValue(min(max(ended.Sub(begun).Microseconds(), 1), longest)) // within the histogram's range
}

// target is the number of the account that is written to next.
func (w *worker) target() int {
	return rand.IntN(w.targets())
}

// failed counts an error; the first of all is kept to be shown.
func (w *worker) failed(text string) {
	w.errors++
	w.firstErr.CompareAndSwap(nil, &text)
}
