package es

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Hash is a SHA-256. That of an event binds all of the event and, through the hash of the event before it, its whole stream up
// to there. The zero Hash stands before the first event of a stream, and in an event that has not been sealed yet.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal, as events show it.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String writes, and no other form.
func ParseHash(s string) (h Hash, err error) {
	if !h.parse([]byte(s)) {
		return Hash{}, fmt.Errorf("es: %q is not a hash, which is 64 digits of lower-case hexadecimal", s)
	}
	return h, nil
}

func (h *Hash) parse(digits []byte) bool {
	if len(digits) != hex.EncodedLen(len(h)) {
		return false
	}
	for _, c := range digits {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(h[:], digits)
	return err == nil
}

// hashMember is what comes before the digits of an event's hash, its last member.
const hashMember = `,"hash":"`

// hashLength is how much longer an event is with its hash.
const hashLength = len(hashMember) + 2*sha256.Size + len(`"`)

// The prefixes of what is hashed, as in the Merkle trees of RFC 6962, of which events' hashes are the leaves.
const (
	leafPrefix = 0
	nodePrefix = 1
)

// Seal gives the event its Hash, for a stream whose event before it has the hash previous, and its JSON, which is put into what
// is left of slab or into new memory, and is never written to again. It returns the slab to go on with.
//
// The hash is SHA-256 over a zero byte, the previous hash, the length of the event in 8 bytes, big-endian, and the event as
// AppendJSON writes it without its hash: every stored field, as it is stored.
func (r *Recorded) Seal(slab []byte, previous Hash) []byte {
	if size := sealRoom + r.jsonRoom(); size > cap(slab)-len(slab) {
		slab = make([]byte, 0, max(size, min(2*cap(slab), slabSize))) // a batch of one event is not to cost that of many
	}
	start := len(slab)
	r.Hash, r.raw = Hash{}, nil
	slab = append(append(slab, leafPrefix), previous[:]...)
	event := len(slab) + 8
	slab = r.AppendJSON(append(slab, make([]byte, 8)...))
	binary.BigEndian.PutUint64(slab[event-8:], uint64(len(slab)-event))
	r.Hash = sha256.Sum256(slab[start:])
	slab = appendHash(slab[:len(slab)-1], &r.Hash)
	r.raw = slab[event:len(slab):len(slab)]
	return slab
}

const (
	slabSize = 64 << 10            // bounds how much memory one event that somebody keeps can keep from being freed
	sealRoom = 1 + sha256.Size + 8 // before it: the prefix, the previous hash, and the length
)

// appendHash ends an event with its hash.
func appendHash(dst []byte, h *Hash) []byte {
	dst = append(dst, hashMember...)
	dst = hex.AppendEncode(dst, h[:])
	return append(dst, `"}`...)
}

// HashAfter is the hash that the event must have, by its JSON, when the one before it in its stream has the hash previous.
func (r *Recorded) HashAfter(previous Hash) Hash {
	bare := r.JSON()
	bare = bare[:len(bare)-1]
	if r.Hash != (Hash{}) {
		bare = bare[:len(bare)-hashLength]
	}
	b := make([]byte, 0, 1+len(previous)+8+len(bare)+1)
	b = append(append(b, leafPrefix), previous[:]...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(bare)+1)), bare...)
	return sha256.Sum256(append(b, '}'))
}

// nodeHash is the hash of a node of the tree over the two below it.
func nodeHash(left, right *Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
