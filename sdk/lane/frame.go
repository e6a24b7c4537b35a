package lane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is the version of the framing. Both ends must agree on it.
const Version = 1

// A frame is a header of 16 bytes, little-endian, and a payload:
//
//	offset 0  type      1 byte
//	offset 1  flags     1 byte
//	offset 2  zero      2 bytes
//	offset 4  length    4 bytes, of the payload that follows on the socket
//	offset 8  argument  8 bytes, its meaning depends on the type
const headerSize = 16

type frameType byte

const (
	frameHello  frameType = 1  // argument: version<<32 | capabilities; payload: magic
	frameRing   frameType = 2  // argument: slots<<32 | slot size; a descriptor travels with it
	frameObject frameType = 3  // argument: sequence number; payload: the object's header
	frameData   frameType = 4  // payload: bytes
	frameSlot   frameType = 5  // argument: slot<<32 | bytes in it
	frameEnd    frameType = 6  // argument: sequence number; payload: size (8 bytes), CRC-32C (4 bytes)
	frameClose  frameType = 7  // the normal end of the lane
	frameAbort  frameType = 8  // payload: the reason; either direction
	frameAck    frameType = 9  // backwards; argument: sequence number; payload: the receipt
	frameFree   frameType = 10 // backwards; argument: slot
)

// flagSync on END: the sender waits for this object's acknowledgement, so the
// receiver should not hold it back to gather more.
const flagSync = 1

const (
	magic          = "barman-lane"
	capabilityRing = 1

	maxHeader = 64 << 10
	maxData   = 256 << 10
	endSize   = 12
)

// ErrProtocol is wrapped by every error about bytes that are not the lane
// protocol, or are frames out of place.
var ErrProtocol = errors.New("lane protocol violated")

type frame struct {
	kind     frameType
	flags    byte
	length   uint32
	argument uint64
}

func (f frame) append(b []byte) []byte {
	b = append(b, byte(f.kind), f.flags, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, f.length)
	return binary.LittleEndian.AppendUint64(b, f.argument)
}

// high and low are the halves of an argument that holds two numbers.
func (f frame) high() uint32 { return uint32(f.argument >> 32) }
func (f frame) low() uint32  { return uint32(f.argument) }

func pair(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }

// payloadLimits bounds what a peer can make us allocate.
var payloadLimits = map[frameType][2]uint32{
	frameHello:  {uint32(len(magic)), uint32(len(magic))},
	frameRing:   {0, 0},
	frameObject: {0, maxHeader},
	frameData:   {0, maxData},
	frameSlot:   {0, 0},
	frameEnd:    {endSize, endSize},
	frameClose:  {0, 0},
	frameAbort:  {0, maxHeader},
	frameAck:    {0, maxHeader},
	frameFree:   {0, 0},
}

// parseFrame reads a frame's header from 16 bytes.
func parseFrame(b []byte) (frame, error) {
	f := frame{
		kind:     frameType(b[0]),
		flags:    b[1],
		length:   binary.LittleEndian.Uint32(b[4:]),
		argument: binary.LittleEndian.Uint64(b[8:]),
	}
	limits, known := payloadLimits[f.kind]
	switch {
	case !known:
		return frame{}, fmt.Errorf("%w: frame type %d", ErrProtocol, b[0])
	case b[2] != 0 || b[3] != 0:
		return frame{}, fmt.Errorf("%w: reserved bytes set in frame type %d", ErrProtocol, b[0])
	case f.length < limits[0] || f.length > limits[1]:
		return frame{}, fmt.Errorf("%w: payload of %d bytes in frame type %d", ErrProtocol, f.length, b[0])
	}
	return f, nil
}

// readFrame reads one header. A socket that ends before the first byte, or in
// the middle, is io.ErrUnexpectedEOF: only CLOSE ends a lane.
func readFrame(r io.Reader, scratch *[headerSize]byte) (frame, error) {
	if err := readFull(r, scratch[:]); err != nil {
		return frame{}, err
	}
	return parseFrame(scratch[:])
}

func readPayload(r io.Reader, f frame) ([]byte, error) {
	payload := make([]byte, f.length)
	return payload, readFull(r, payload)
}

// readFull reads all of b. The end of the socket is never io.EOF, not even
// before the first byte: an io.EOF stands for the good end of an object or lane.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
