package lane

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// Eight slots of 256 KiB stay in a core's cache and let both ends work at
	// once; larger or smaller slots cost more processor time per byte.
	ringSlots    = 8
	ringSlotSize = 256 << 10

	maxRingBytes = 64 << 20
)

// ring is memory that two processes share: a sealed anonymous file, so that
// neither end can be killed by the other shrinking it, and nothing is left
// behind however they die.
//
// Whoever touches its memory holds it meanwhile: an end may be released by one
// goroutine while another still copies, and memory that is unmapped under a
// copy would end the process.
type ring struct {
	memory   []byte
	slots    uint32
	slotSize uint32
	holders  atomic.Int64 // the end that owns it counts as one
	closed   sync.Once
}

// hold keeps the memory mapped until letGo; false when it is gone already.
func (r *ring) hold() bool {
	for {
		n := r.holders.Load()
		if n == 0 {
			return false
		}
		if r.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// letGo unmaps the memory when nobody else holds it.
func (r *ring) letGo() error {
	if r.holders.Add(-1) > 0 {
		return nil
	}
	return unix.Munmap(r.memory)
}

// newRing creates a ring and returns the file to pass to the peer.
func newRing() (*ring, *os.File, error) {
	fd, err := unix.MemfdCreate("barman-lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "barman-lane")
	if err := file.Truncate(ringSlots * ringSlotSize); err != nil {
		return nil, nil, fmt.Errorf("size the ring: %w", joinClose(err, file))
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, nil, fmt.Errorf("seal the ring: %w", joinClose(err, file))
	}
	r, err := mapRing(file, ringSlots, ringSlotSize)
	if err != nil {
		return nil, nil, joinClose(err, file)
	}
	return r, file, nil
}

// mapRing maps a ring that a peer offers, after checking that it is what the
// peer says and cannot shrink under our feet.
func mapRing(file *os.File, slots, slotSize uint32) (*ring, error) {
	size := uint64(slots) * uint64(slotSize)
	if slots == 0 || slotSize == 0 || size > maxRingBytes {
		return nil, fmt.Errorf("%w: ring of %d slots of %d bytes", ErrProtocol, slots, slotSize)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	seals, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("seals of the ring: %w", err)
	}
	if uint64(info.Size()) < size || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("%w: ring file of %d bytes, seals %#x", ErrProtocol, info.Size(), seals)
	}
	// All of it is about to be used, and populating it at once costs a fraction of a
	// fault for every page.
	memory, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	r := &ring{memory: memory, slots: slots, slotSize: slotSize}
	r.holders.Store(1)
	return r, nil
}

// slot returns the whole of a slot's memory.
func (r *ring) slot(i uint32) []byte {
	start := int(i) * int(r.slotSize)
	return r.memory[start : start+int(r.slotSize) : start+int(r.slotSize)]
}

// close gives up the end's own hold.
func (r *ring) close() error {
	if r == nil {
		return nil
	}
	var err error
	r.closed.Do(func() { err = r.letGo() })
	return err
}

func joinClose(err error, file *os.File) error {
	if closing := file.Close(); closing != nil {
		return fmt.Errorf("%w (and closing: %w)", err, closing)
	}
	return err
}
