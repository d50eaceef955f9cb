package pebblestore

import (
	"fmt"

	"daybook/core/ports"
)

// Sizes that depend on the disk: a small one must not be eaten up by what is only there to be quick.
const (
	defaultReserve  = 64 << 20
	largestMemTable = 16 << 20
	leastMemTable   = 256 << 10
	// cacheSize is the memory for blocks of tables and filters. What memtables take is taken from it, so it must be larger.
	cacheSize = 64 << 20
)

// memTableSize is how much is gathered in memory before it becomes a table. Pebble sets aside as much of the disk for its log.
func (s *Store) memTableSize() uint64 {
	disk, err := s.fs.GetDiskUsage(s.options.Dir)
	if err != nil {
		return largestMemTable
	}
	return max(leastMemTable, min(largestMemTable, disk.TotalBytes/64))
}

// roomToOpen decides how much of the disk is to be left free, and refuses to open a store where not even a quarter of
// that is: Pebble writes to open, and on a full disk it would go on trying.
func (s *Store) roomToOpen() error {
	disk, err := s.fs.GetDiskUsage(s.options.Dir)
	if err != nil {
		return nil // not every file system can tell
	}
	s.reserve = s.options.MinFree
	if s.reserve == 0 {
		s.reserve = min(defaultReserve, disk.TotalBytes/8)
	}
	if need := s.reserve / 4; disk.AvailBytes < need {
		return ports.ErrStoreFull.Say("The disk of the store in %s has %s free; opening it needs %s. Make room and start again.",
			s.options.Dir, size(disk.AvailBytes), size(need)).With("freeBytes", int64(disk.AvailBytes)).With("neededBytes", int64(need))
	}
	return nil
}

// roomToForget refuses where even that would fill the disk: giving room back takes a little first.
func (s *Store) roomToForget() error {
	disk, err := s.fs.GetDiskUsage(s.options.Dir)
	if err != nil || disk.AvailBytes >= s.reserve/4 {
		return nil
	}
	return ports.ErrStoreFull.Say("The store's disk has %s free; forgetting events needs %s before it gives room back. Nothing was done.", size(disk.AvailBytes), size(s.reserve/4))
}

// room refuses to write while less than the reserve is free, and warns once when four fifths of the disk are used. It is
// one system call, made for every unit of work, so that writing is back as soon as there is room.
func (s *Store) room() error {
	disk, err := s.fs.GetDiskUsage(s.options.Dir)
	if err != nil {
		return nil
	}
	full := disk.AvailBytes < disk.TotalBytes/5
	if full && !s.warned {
		s.options.Logf("The disk of the store in %s is more than 80 %% used: %s of %s are free. Commands are refused below %s.",
			s.options.Dir, size(disk.AvailBytes), size(disk.TotalBytes), size(s.reserve))
	}
	s.warned = full
	if disk.AvailBytes < s.reserve {
		return ports.ErrStoreFull.Say("The store's disk has %s free, and %s are kept in reserve: nothing was written. Reads go on; writes come back when there is room.",
			size(disk.AvailBytes), size(s.reserve)).With("freeBytes", int64(disk.AvailBytes)).With("reserveBytes", int64(s.reserve))
	}
	return nil
}

func size(bytes uint64) string {
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
