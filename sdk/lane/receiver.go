package lane

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ErrCorrupt is wrapped when an object's size or checksum is not what its
// sender computed.
var ErrCorrupt = errors.New("object damaged on its way")

// Listener is where one lane's receiver waits for its sender.
type Listener struct {
	listener *net.UnixListener
	options  Options
}

// Listen creates the lane's socket; its directory's mode decides who may
// connect.
func Listen(address string, options Options) (*Listener, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lane: %w", err)
	}
	if err := os.Chmod(address, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lane: %w", err), listener.Close())
	}
	return &Listener{listener: listener, options: options}, nil
}

// Accept waits for the sender and stops listening. When ctx ends, then or
// later, the lane breaks.
func (l *Listener) Accept(ctx context.Context) (*Receiver, error) {
	stop := context.AfterFunc(ctx, func() { l.listener.Close() })
	conn, err := l.listener.AcceptUnix()
	stop()
	if err := errors.Join(ignoreListenerClosed(ctx, err), ignoreClosed(l.listener.Close())); err != nil {
		return nil, fmt.Errorf("%w: nobody connected: %w", ErrBroken, err)
	}
	stopConn := context.AfterFunc(ctx, func() { conn.Close() })
	r, err := welcome(conn, l.options)
	if err != nil {
		stopConn()
		return nil, errors.Join(fmt.Errorf("%w: handshake: %w", ErrBroken, err), conn.Close())
	}
	receiver := &Receiver{conn: conn, in: bufio.NewReaderSize(conn, socketBuffer), out: bufio.NewWriter(conn), ring: r, stop: stopConn}
	if r != nil {
		receiver.filled = make([]bool, r.slots)
	}
	return receiver, nil
}

// Close gives up listening.
func (l *Listener) Close() error { return ignoreClosed(l.listener.Close()) }

func ignoreListenerClosed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Receiver is the receiving end of a lane. Next and the reads of its objects
// come from one goroutine; acknowledgements may come from others.
type Receiver struct {
	conn *net.UnixConn
	in   *bufio.Reader
	ring *ring
	stop func() bool

	current *Incoming
	scratch [headerSize]byte
	pending []uint32 // slots read and not yet given back
	filled  []bool   // slots that the sender filled and that were not given back
	last    uint64   // sequence number of the last object

	backwards sync.Mutex
	out       *bufio.Writer
	released  sync.Once
}

// Incoming is an object that arrives.
type Incoming struct {
	// Header is the object's header as its sender gave it.
	Header []byte
	// Sequence is the number to acknowledge it by.
	Sequence uint64

	lane  *Receiver
	chunk []byte // bytes at hand
	slot  int64  // the slot they are in, or -1
	data  []byte // buffer of inline bytes
	size  int64
	sum   uint32
	sync  bool
	err   error // io.EOF after a good END
}

// Next returns the next object once the one before is read to its end. io.EOF
// means that the sender closed the lane normally.
func (r *Receiver) Next() (*Incoming, error) {
	if r.current != nil && !r.current.Complete() {
		return nil, fmt.Errorf("%w: object %d not read to its end", ErrProtocol, r.current.Sequence)
	}
	f, err := r.frame()
	if err != nil {
		return nil, err
	}
	switch f.kind {
	case frameClose:
		return nil, io.EOF
	case frameObject:
	default:
		return nil, fmt.Errorf("%w: frame type %d between objects", ErrProtocol, f.kind)
	}
	header, err := readPayload(r.in, f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if f.argument != r.last+1 {
		return nil, fmt.Errorf("%w: object %d after object %d", ErrProtocol, f.argument, r.last)
	}
	r.last = f.argument
	r.current = &Incoming{Header: header, Sequence: f.argument, lane: r, slot: -1}
	return r.current, nil
}

// frame reads a header; before it blocks it gives back the slots that were read.
func (r *Receiver) frame() (frame, error) {
	if r.in.Buffered() < headerSize {
		if err := r.giveBack(); err != nil {
			return frame{}, err
		}
	}
	f, err := readFrame(r.in, &r.scratch)
	if err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if f.kind == frameAbort {
		reason, err := readPayload(r.in, f)
		if err != nil {
			return frame{}, fmt.Errorf("%w: %w", ErrBroken, err)
		}
		return frame{}, &AbortError{Reason: reason}
	}
	return f, nil
}

func (r *Receiver) giveBack() error {
	if len(r.pending) == 0 {
		return nil
	}
	r.backwards.Lock()
	defer r.backwards.Unlock()
	for _, slot := range r.pending {
		r.filled[slot] = false
		if err := r.write(frame{kind: frameFree, argument: uint64(slot)}, nil); err != nil {
			return err
		}
	}
	r.pending = r.pending[:0]
	return r.flush()
}

// Ack acknowledges an object with a receipt, opaque to the lane.
func (r *Receiver) Ack(sequence uint64, receipt []byte) error {
	if len(receipt) > maxHeader {
		return fmt.Errorf("%w: receipt of %d bytes", ErrProtocol, len(receipt))
	}
	r.backwards.Lock()
	defer r.backwards.Unlock()
	if err := r.write(frame{kind: frameAck, length: uint32(len(receipt)), argument: sequence}, receipt); err != nil {
		return err
	}
	return r.flush()
}

// Close ends the receiver's side normally, after Next returned io.EOF and
// everything was acknowledged.
func (r *Receiver) Close() error {
	r.backwards.Lock()
	err := r.write(frame{kind: frameClose}, nil)
	if err == nil {
		err = r.flush()
	}
	r.backwards.Unlock()
	return errors.Join(err, r.release())
}

// Abort tells the sender why the lane ends here, and ends it.
func (r *Receiver) Abort(reason []byte) error {
	reason = reason[:min(len(reason), maxHeader)]
	// A sender that no longer reads must not keep this end.
	_ = r.conn.SetWriteDeadline(time.Now().Add(abortTime))
	r.backwards.Lock()
	// The sender may be gone already; then nobody needs the reason.
	if r.write(frame{kind: frameAbort, length: uint32(len(reason))}, reason) == nil {
		_ = r.flush()
	}
	r.backwards.Unlock()
	return r.release()
}

func (r *Receiver) release() error {
	var err error
	r.released.Do(func() {
		r.stop()
		err = errors.Join(ignoreClosed(r.conn.Close()), r.ring.close())
	})
	return err
}

func (r *Receiver) write(f frame, payload []byte) error {
	var scratch [headerSize]byte
	if _, err := r.out.Write(f.append(scratch[:0])); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if _, err := r.out.Write(payload); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

func (r *Receiver) flush() error {
	if err := r.out.Flush(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

// fill makes bytes available in chunk, or sets err.
func (o *Incoming) fill() error {
	for len(o.chunk) == 0 {
		if o.err != nil {
			return o.err
		}
		o.freeSlot()
		f, err := o.lane.frame()
		if err == nil {
			err = o.take(f)
		}
		if err != nil {
			o.err = err
			return err
		}
		if !o.hold() {
			return o.err
		}
		o.sum = crc32.Update(o.sum, castagnoli, o.chunk)
		o.size += int64(len(o.chunk))
		o.letGo()
	}
	return nil
}

// hold keeps the memory that the bytes at hand are in. It fails when the lane
// was released meanwhile; that ends the object.
func (o *Incoming) hold() bool {
	if o.slot < 0 || o.lane.ring.hold() {
		return true
	}
	o.chunk, o.slot = nil, -1
	o.err = fmt.Errorf("%w: released while an object was being read", ErrBroken)
	return false
}

func (o *Incoming) letGo() {
	if o.slot >= 0 {
		// Unmapping memory that is mapped does not fail.
		_ = o.lane.ring.letGo()
	}
}

func (o *Incoming) freeSlot() {
	if o.slot >= 0 {
		o.lane.pending = append(o.lane.pending, uint32(o.slot))
		o.slot = -1
	}
}

func (o *Incoming) take(f frame) error {
	switch f.kind {
	case frameData:
		if cap(o.data) < int(f.length) {
			o.data = make([]byte, f.length)
		}
		o.chunk = o.data[:f.length]
		if err := readFull(o.lane.in, o.chunk); err != nil {
			o.chunk = nil
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		return nil
	case frameSlot:
		ring, slot, length := o.lane.ring, f.high(), f.low()
		if ring == nil || slot >= ring.slots || length > ring.slotSize {
			return fmt.Errorf("%w: slot %d with %d bytes", ErrProtocol, slot, length)
		}
		if o.lane.filled[slot] {
			return fmt.Errorf("%w: slot %d filled again before it was given back", ErrProtocol, slot)
		}
		o.lane.filled[slot] = true
		o.slot = int64(slot)
		o.chunk = ring.slot(slot)[:length]
		return nil
	case frameEnd:
		return o.end(f)
	default:
		return fmt.Errorf("%w: frame type %d inside an object", ErrProtocol, f.kind)
	}
}

func (o *Incoming) end(f frame) error {
	payload, err := readPayload(o.lane.in, f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	size, sum := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint32(payload[8:])
	if f.argument != o.Sequence {
		return fmt.Errorf("%w: object %d ended inside object %d", ErrProtocol, f.argument, o.Sequence)
	}
	if size != uint64(o.size) || sum != o.sum {
		return fmt.Errorf("%w: %d bytes with CRC-32C %08x arrived, %d with %08x were sent", ErrCorrupt, o.size, o.sum, size, sum)
	}
	o.sync = f.flags&flagSync != 0
	return io.EOF
}

// Read returns io.EOF only after the whole object arrived and its size and
// checksum were found right.
func (o *Incoming) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := o.fill(); err != nil {
		return 0, err
	}
	if !o.hold() {
		return 0, o.err
	}
	n := copy(p, o.chunk)
	o.letGo()
	o.chunk = o.chunk[n:]
	return n, nil
}

// WriteTo hands the bytes to w without a copy in between.
func (o *Incoming) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		err := o.fill()
		if o.Complete() {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if !o.hold() {
			return total, o.err
		}
		n, err := w.Write(o.chunk)
		o.letGo()
		total += int64(n)
		if err == nil && n < len(o.chunk) {
			err = io.ErrShortWrite
		}
		o.chunk = o.chunk[n:]
		if err != nil {
			return total, err
		}
	}
}

// Relay is WriteTo for a writer that hands every byte on to the object out: if
// neither of the two has begun, their checksums are the same and are computed
// once. The next receiver still compares it with the bytes that reach it.
func (o *Incoming) Relay(out *ObjectWriter, through io.Writer) (int64, error) {
	if o.size == 0 && out.size == 0 && out.used == 0 {
		out.relay = o
		defer func() { out.relay = nil }()
	}
	return o.WriteTo(through)
}

// Complete reports whether the object was read to its end and found right.
//
// Only an END that is right sets the error to io.EOF itself; one that wraps it
// is a failure.
func (o *Incoming) Complete() bool { return o.err == io.EOF }

// Sync reports whether the sender waits for the acknowledgement; it is known
// when the object is complete.
func (o *Incoming) Sync() bool { return o.sync }

// Summary describes the bytes that arrived.
func (o *Incoming) Summary() Summary { return Summary{Size: o.size, CRC32C: o.sum} }
