package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// meter shows how far long work is: a bar with rate and time left on a terminal, else a plain line every few seconds.
type meter struct {
	quit chan struct{}
	done sync.WaitGroup
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// startMeter shows progress until stop is called. read gives how much is done of how much in all (0: not known), and how many
// units that is; it is called from another goroutine.
func startMeter(out io.Writer, what, unit string, read func() (done, total, units int64)) *meter {
	m := &meter{quit: make(chan struct{})}
	show := m.lines
	if f, ok := out.(*os.File); ok && cwriter.IsTerminal(int(f.Fd())) {
		if width, height, err := cwriter.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			show = m.bar
		}
	}
	m.done.Go(func() { show(out, what, unit, read) })
	return m
}

// stop ends the showing and waits until the terminal is left in order.
func (m *meter) stop() {
	close(m.quit)
	m.done.Wait()
}

// progress is one reading.
type progress struct {
	done, total, units int64
	since              time.Time
}

func (p progress) rate() float64 {
	return float64(p.units) / max(time.Since(p.since).Seconds(), 0.001)
}

// left is about how long it will take; zero when that is not known.
func (p progress) left() time.Duration {
	if p.total <= 0 || p.done <= 0 {
		return 0
	}
	spent := time.Since(p.since)
	return (time.Duration(float64(spent)/float64(p.done)*float64(p.total)) - spent).Round(time.Second)
}

func (m *meter) bar(out io.Writer, what, unit string, read func() (int64, int64, int64)) {
	begun := time.Now()
	now := func() progress {
		done, total, units := read()
		return progress{done, total, units, begun}
	}
	bars := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(barEvery))
	bar := bars.New(0, mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(what+" "), decor.Percentage()),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			p := now()
			text := fmt.Sprintf("%d %s, %.0f/s", p.units, unit, p.rate())
			if left := p.left(); left > 0 {
				text += fmt.Sprintf(", %v left", left)
			}
			return text
		})))
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	for {
		p := now()
		bar.SetTotal(p.total, false)
		bar.SetCurrent(min(p.done, max(p.total-1, 0))) // the bar's end is the work's end
		select {
		case <-tick.C:
		case <-m.quit:
			bar.Abort(true)
			bars.Wait()
			return
		}
	}
}

func (m *meter) lines(out io.Writer, what, unit string, read func() (int64, int64, int64)) {
	begun := time.Now()
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			done, total, units := read()
			say(out, "%s\n", progressLine(what, unit, progress{done, total, units, begun}))
		case <-m.quit:
			return
		}
	}
}

func progressLine(what, unit string, p progress) string {
	line := fmt.Sprintf("%s: %d %s, %.0f/s", what, p.units, unit, p.rate())
	if p.total > 0 {
		line += fmt.Sprintf(", %d%%", 100*p.done/p.total)
	}
	if left := p.left(); left > 0 {
		line += fmt.Sprintf(", about %v left", left)
	}
	return line
}
