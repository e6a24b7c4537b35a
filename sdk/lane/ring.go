package lane

import (
	"fmt"
	"os"

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
type ring struct {
	memory   []byte
	slots    uint32
	slotSize uint32
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
	memory, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	return &ring{memory: memory, slots: slots, slotSize: slotSize}, nil
}

// slot returns the whole of a slot's memory.
func (r *ring) slot(i uint32) []byte {
	start := int(i) * int(r.slotSize)
	return r.memory[start : start+int(r.slotSize) : start+int(r.slotSize)]
}

func (r *ring) close() error {
	if r == nil || r.memory == nil {
		return nil
	}
	memory := r.memory
	r.memory = nil
	return unix.Munmap(memory)
}

func joinClose(err error, file *os.File) error {
	if closing := file.Close(); closing != nil {
		return fmt.Errorf("%w (and closing: %w)", err, closing)
	}
	return err
}
