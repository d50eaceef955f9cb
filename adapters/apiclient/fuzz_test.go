package apiclient

import (
	"bytes"
	"testing"
)

// FuzzFeed reads any bytes as server-sent events: what they carry comes from them, and an event that a server writes is read as it is.
func FuzzFeed(f *testing.F) {
	f.Add([]byte("id: 17\nevent: MoneyDeposited\ndata: {\"id\":\"evt-17\"}\n\n: still here\n\n"))
	f.Add([]byte("data\ndata: \r\ndata:x\n:\nid\n\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var m message
		left := len(stream)
		for line := range bytes.Lines(stream) {
			if !m.add(line) {
				continue
			}
			id, data := m.take()
			if left -= len(data); left < 0 || !bytes.Contains(stream, []byte(id)) {
				t.Fatalf("%q holds no %q with %q", stream, id, data)
			}
		}
		m = message{}
		one := bytes.ReplaceAll(bytes.ReplaceAll(stream, []byte{'\n'}, nil), []byte{'\r'}, nil)
		for _, line := range [][]byte{[]byte("id: 17\n"), append(append([]byte("data: "), one...), '\n')} {
			if m.add(line) {
				t.Fatalf("%q ends an event", line)
			}
		}
		if id, data := m.take(); !m.add([]byte("\n")) || id != "17" || !bytes.Equal(data, one) {
			t.Fatalf("%q is read as %q", one, data)
		}
	})
}
