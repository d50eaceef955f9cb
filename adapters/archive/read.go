package archive

import (
	"context"
	"errors"
	"io/fs"

	"daybook/core/es"
	"daybook/core/ports"
)

// framesAtOnce is how many frames are read by one request at the most, so that a long read takes memory in parts.
const framesAtOnce = 64

// Read implements ports.Archive. Frames that lie side by side are read at once. The events share the memory of the frames they
// came in.
func (a *Archive) Read(ctx context.Context, at []es.Position) ([]es.Recorded, error) {
	events := make([]es.Recorded, 0, len(at))
	for len(at) > 0 {
		m, err := a.holding(ctx, at[0])
		if err != nil {
			return nil, err
		}
		if at[0] == 0 {
			return nil, ports.ErrArchiveMissing.Say("There is no event at position 0.")
		}
		s := m.segment(at[0])
		from := s.frameOf(at[0])
		to, n := from, 1
		for n < len(at) && at[n] >= at[n-1] && at[n] <= s.Last && s.frameOf(at[n]) <= to+1 && s.frameOf(at[n]) < from+framesAtOnce {
			to = s.frameOf(at[n])
			n++
		}
		frames, err := a.read(ctx, s, from, to)
		if err != nil {
			return nil, err
		}
		for _, p := range at[:n] {
			events = append(events, frames[s.frameOf(p)-from][(p-s.First)%frameEvents])
		}
		at = at[n:]
	}
	return events, nil
}

func (s *segment) frameOf(p es.Position) int { return int((p - s.First) / frameEvents) }

// number is that of the frame in the whole archive, and so of its node of the tree.
func (s *segment) number(n int) uint64 { return uint64((s.First-1)/frameEvents) + uint64(n) }

// read gives frames of a segment, from one to another.
func (a *Archive) read(ctx context.Context, s *segment, from, to int) ([][]es.Recorded, error) {
	frames := make([][]es.Recorded, to-from+1)
	low, high := to+1, from-1 // of what is not kept
	for n := from; n <= to; n++ {
		if kept, ok := a.frames.get(s.number(n)); ok {
			frames[n-from] = kept
			continue
		}
		low, high = min(low, n), n
	}
	if low > high {
		return frames, a.usable(ctx)
	}
	x, err := a.index(ctx, s)
	if err != nil {
		return nil, err
	}
	start, _ := x.span(s, low)
	_, end := x.span(s, high)
	data, err := a.getSegment(ctx, s, start, end-start)
	if err != nil {
		return nil, err
	}
	for n := low; n <= high; n++ {
		if frames[n-from] != nil {
			continue
		}
		b, e := x.span(s, n)
		events, size, err := a.parseFrame(s, x, n, part(data, b-start, e-start))
		if err != nil {
			return nil, err
		}
		frames[n-from] = events
		a.frames.put(s.number(n), events, size+len(events)*recordedSize)
	}
	return frames, nil
}

// recordedSize is about what an event takes in memory beside its bytes.
const recordedSize = 300

// part is what is there of data from one offset to another.
func part(data []byte, from, to int64) []byte {
	end := int64(len(data))
	return data[min(from, end):min(to, end)]
}

// index gives the index of a segment.
func (a *Archive) index(ctx context.Context, s *segment) (*index, error) {
	if x, ok := a.indexes.get(uint64(s.First)); ok {
		return x, a.usable(ctx)
	}
	data, err := a.getSegment(ctx, s, s.Index.Offset, s.Bytes-s.Index.Offset)
	if err != nil {
		return nil, err
	}
	x, err := s.parseIndex(data)
	if err != nil {
		return nil, err
	}
	a.indexes.put(uint64(s.First), x, len(data))
	return x, nil
}

func (a *Archive) getSegment(ctx context.Context, s *segment, offset, length int64) ([]byte, error) {
	data, err := a.get(ctx, s.Name, offset, length)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing()
	}
	return data, err
}
