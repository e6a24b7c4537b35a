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
	"syscall"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	// maxOutstanding bounds the objects that are sent and not yet acknowledged,
	// and with them the memory at both ends.
	maxOutstanding = 1024
	// inlineLimit is the size up to which the rest of an object travels on the
	// socket: below it a slot costs more than the copy it saves.
	inlineLimit  = 32 << 10
	socketBuffer = 64 << 10
	// inlineBuffer has room for a few frames where all bytes travel on the socket:
	// with less, both ends are woken several times for each frame.
	inlineBuffer = 1 << 20
	// abortTime is how long giving the reason of an abort may take.
	abortTime = time.Second
	// dialPause is how long a sender waits for the receiver to listen, each time.
	dialPause = 2 * time.Millisecond
)

// AbortError is the reason that a peer gave before it ended the lane.
type AbortError struct{ Reason []byte }

// Error tells that the peer aborted; the reason is for the layer above.
func (e *AbortError) Error() string { return "the peer aborted the lane" }

// ErrBroken is wrapped by the errors of a lane whose peer went away without
// ending it.
var ErrBroken = errors.New("lane broken")

// Sender is the sending end of a lane. Its objects are sent one after the
// other: Begin, the writes, and Finish come from one goroutine at a time. Abort
// may come from any, at any time.
type Sender struct {
	conn  *net.UnixConn
	ring  *ring
	onAck func(sequence uint64, receipt []byte)

	forwards sync.Mutex // whole frames at a time
	out      *bufio.Writer

	free        chan uint32   // slots that may be filled
	outstanding chan struct{} // a token for each object not yet acknowledged
	acks        sync.Mutex
	ended       map[uint64]struct{} // objects that may be acknowledged: sent whole, not yet acknowledged
	inline      []byte
	sequence    uint64
	current     *ObjectWriter
	stop        func() bool

	done    chan struct{} // closed when the peer's side has ended
	failure error         // why, readable after done
	closed  sync.Once
}

// Dial connects to a receiver's address, waiting until it listens or ctx ends.
// onAck is called from a goroutine of the Sender for every acknowledged object,
// in the order of acknowledgement. When ctx ends the lane breaks.
func Dial(ctx context.Context, address string, options Options, onAck func(sequence uint64, receipt []byte)) (*Sender, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r, err := greet(conn, options)
	if err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("%w: handshake: %w", ErrBroken, err), conn.Close())
	}
	s := &Sender{
		conn: conn, out: bufio.NewWriterSize(conn, socketBuffer), ring: r, onAck: onAck, stop: stop,
		outstanding: make(chan struct{}, maxOutstanding), ended: map[uint64]struct{}{}, done: make(chan struct{}),
	}
	if r == nil {
		// The system may give less, which costs speed alone.
		_ = conn.SetWriteBuffer(inlineBuffer)
		s.inline = make([]byte, maxData)
	} else {
		s.inline = make([]byte, inlineLimit)
		s.free = make(chan uint32, r.slots)
		for i := range r.slots {
			s.free <- i
		}
	}
	go s.listen()
	return s, nil
}

func dial(ctx context.Context, address string) (*net.UnixConn, error) {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
		if err == nil {
			return conn.(*net.UnixConn), nil
		}
		// Not there yet: the receiving stage has not come so far.
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%w: connect: %w", ErrBroken, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: nobody listens: %w", ErrBroken, ctx.Err())
		case <-time.After(dialPause):
		}
	}
}

// listen reads what comes backwards until the peer ends its side.
func (s *Sender) listen() {
	err := s.readBackwards(bufio.NewReader(s.conn))
	s.failure = err
	close(s.done)
}

func (s *Sender) readBackwards(in *bufio.Reader) error {
	var scratch [headerSize]byte
	for {
		f, err := readFrame(in, &scratch)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		payload, err := readPayload(in, f)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		switch f.kind {
		case frameFree:
			if err := s.giveBack(f.argument); err != nil {
				return err
			}
		case frameAck:
			s.acks.Lock()
			_, waits := s.ended[f.argument]
			delete(s.ended, f.argument)
			s.acks.Unlock()
			if !waits {
				return fmt.Errorf("%w: acknowledgement of object %d, which does not wait for one", ErrProtocol, f.argument)
			}
			<-s.outstanding
			s.onAck(f.argument, payload)
		case frameAbort:
			return &AbortError{Reason: payload}
		case frameClose:
			return nil
		default:
			return fmt.Errorf("%w: frame type %d backwards", ErrProtocol, f.kind)
		}
	}
}

func (s *Sender) giveBack(slot uint64) error {
	if s.ring == nil || slot >= uint64(s.ring.slots) {
		return fmt.Errorf("%w: slot %d given back", ErrProtocol, slot)
	}
	select {
	case s.free <- uint32(slot):
		return nil
	default:
		return fmt.Errorf("%w: slot %d given back twice", ErrProtocol, slot)
	}
}

// fail picks the reason why a write did not work: what the peer said, if it
// said something, tells more than the socket's error.
func (s *Sender) fail(err error) error {
	select {
	case <-s.done:
	case <-time.After(time.Second):
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if s.failure != nil {
		return s.failure
	}
	return fmt.Errorf("%w: the peer closed it early", ErrBroken)
}

// send puts a frame into the buffer, and flush sends what is there.
func (s *Sender) send(f frame, payload []byte, flush bool) error {
	if err := s.put(f, payload, flush); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Sender) put(f frame, payload []byte, flush bool) error {
	s.forwards.Lock()
	defer s.forwards.Unlock()
	var scratch [headerSize]byte
	if _, err := s.out.Write(f.append(scratch[:0])); err != nil {
		return err
	}
	if _, err := s.out.Write(payload); err != nil {
		return err
	}
	if !flush {
		return nil
	}
	return s.out.Flush()
}

// gather sends a frame with a large payload without copying it.
func (s *Sender) gather(f frame, payload []byte) error {
	s.forwards.Lock()
	defer s.forwards.Unlock()
	if err := s.out.Flush(); err != nil {
		return err
	}
	var scratch [headerSize]byte
	buffers := net.Buffers{f.append(scratch[:0]), payload}
	_, err := buffers.WriteTo(s.conn)
	return err
}

// Begin starts an object. header is opaque to the lane and at most 64 KiB long.
// It blocks while too many objects wait for their acknowledgement.
func (s *Sender) Begin(header []byte) (*ObjectWriter, error) {
	if s.current != nil {
		return nil, fmt.Errorf("%w: an object inside another", ErrProtocol)
	}
	if len(header) > maxHeader {
		return nil, fmt.Errorf("%w: object header of %d bytes", ErrProtocol, len(header))
	}
	select {
	case s.outstanding <- struct{}{}:
	case <-s.done:
		return nil, s.fail(nil)
	}
	s.sequence++
	if err := s.send(frame{kind: frameObject, length: uint32(len(header)), argument: s.sequence}, header, false); err != nil {
		return nil, err
	}
	s.current = &ObjectWriter{lane: s, sequence: s.sequence}
	return s.current, nil
}

// Done is closed when the peer's side has ended, for whatever reason; Err then
// tells the reason, nil if it ended normally.
func (s *Sender) Done() <-chan struct{} { return s.done }

// Err is the reason for the end of the peer's side. Call it after Done.
func (s *Sender) Err() error { return s.failure }

// Close ends the lane normally: it waits until every object is acknowledged
// and the receiver has ended its side too.
func (s *Sender) Close() error {
	err := s.close()
	return errors.Join(err, s.release())
}

func (s *Sender) close() error {
	if s.current != nil {
		return fmt.Errorf("%w: closed inside an object", ErrProtocol)
	}
	if err := s.send(frame{kind: frameClose}, nil, true); err != nil {
		return err
	}
	<-s.done
	if s.failure != nil {
		return s.failure
	}
	if n := len(s.outstanding); n > 0 {
		return fmt.Errorf("%w: closed by the peer with %d objects unacknowledged", ErrProtocol, n)
	}
	return nil
}

// Abort ends the lane with a reason, opaque to the lane, for the receiver.
func (s *Sender) Abort(reason []byte) error {
	reason = reason[:min(len(reason), maxHeader)]
	// The peer may be gone already, then nobody needs the reason; one that no
	// longer reads must not keep this end.
	_ = s.conn.SetWriteDeadline(time.Now().Add(abortTime))
	_ = s.put(frame{kind: frameAbort, length: uint32(len(reason))}, reason, true)
	return s.release()
}

func (s *Sender) release() error {
	var err error
	s.closed.Do(func() {
		s.stop()
		err = ignoreClosed(s.conn.Close())
		<-s.done
		err = errors.Join(err, s.ring.close())
	})
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ObjectWriter takes the bytes of one object.
type ObjectWriter struct {
	lane     *Sender
	sequence uint64
	size     int64
	sum      uint32

	buffer []byte // where the next bytes go: a slot's memory, or the inline buffer
	used   int
	slot   uint32
	inRing bool
	// relay is what is being copied from, unchanged and from its beginning, so
	// that its checksum is this object's too; the first summed bytes of the buffer
	// are in it.
	relay  *Incoming
	summed int
}

// room makes sure that the buffer has space left.
func (w *ObjectWriter) room() error {
	s := w.lane
	if w.buffer != nil && w.used < len(w.buffer) {
		return nil
	}
	if w.buffer != nil {
		// The first bytes of an object gather in the inline buffer; an object that
		// outgrows it moves to the ring.
		if !w.inRing && s.ring != nil {
			gathered := w.buffer[:w.used]
			if err := w.takeSlot(); err != nil {
				return err
			}
			if !s.ring.hold() {
				return w.released()
			}
			w.used = copy(w.buffer, gathered)
			w.letGo(true)
			return nil
		}
		if err := w.ship(); err != nil {
			return err
		}
	}
	if s.ring == nil || w.size == 0 && w.buffer == nil {
		w.buffer, w.used, w.inRing = s.inline, 0, false
		return nil
	}
	return w.takeSlot()
}

func (w *ObjectWriter) takeSlot() error {
	s := w.lane
	select {
	case w.slot = <-s.free:
	default:
		select {
		case w.slot = <-s.free:
		case <-s.done:
			return s.fail(nil)
		}
	}
	w.buffer, w.used, w.inRing = s.ring.slot(w.slot), 0, true
	return nil
}

// ship sends what the buffer holds and lets go of the buffer.
func (w *ObjectWriter) ship() error {
	s, bytes, unsummed := w.lane, w.buffer[:w.used], w.buffer[w.summed:w.used]
	inRing := w.inRing
	w.buffer, w.used, w.summed, w.inRing = nil, 0, 0, false
	if len(bytes) == 0 {
		if inRing {
			s.free <- w.slot
		}
		return nil
	}
	if inRing && !s.ring.hold() {
		return w.released()
	}
	w.sum = crc32.Update(w.sum, castagnoli, unsummed)
	w.size += int64(len(bytes))
	if inRing {
		w.letGo(inRing)
		return s.send(frame{kind: frameSlot, argument: pair(w.slot, uint32(len(bytes)))}, nil, true)
	}
	f := frame{kind: frameData, length: uint32(len(bytes))}
	if len(bytes) <= inlineLimit {
		return s.send(f, bytes, false)
	}
	if err := s.gather(f, bytes); err != nil {
		return s.fail(err)
	}
	return nil
}

func (w *ObjectWriter) released() error {
	return fmt.Errorf("%w: released while an object was being sent", ErrBroken)
}

func (w *ObjectWriter) letGo(inRing bool) {
	if inRing {
		// Unmapping memory that is mapped does not fail.
		_ = w.lane.ring.letGo()
	}
}

// Write takes bytes; they are copied before it returns.
func (w *ObjectWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if err := w.room(); err != nil {
			return written, err
		}
		if w.inRing && !w.lane.ring.hold() {
			return written, w.released()
		}
		n := copy(w.buffer[w.used:], p)
		w.letGo(w.inRing)
		w.used += n
		written += n
		p = p[n:]
		if w.relay != nil {
			w.summed = w.used
		}
	}
	if w.relay != nil {
		w.sum = w.relay.sum
	}
	return written, nil
}

// ReadFrom reads r to EOF, straight into the lane's memory.
func (w *ObjectWriter) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if err := w.room(); err != nil {
			return total, err
		}
		if w.inRing && !w.lane.ring.hold() {
			return total, w.released()
		}
		n, err := r.Read(w.buffer[w.used:])
		w.letGo(w.inRing)
		w.used += n
		total += int64(n)
		if err == io.EOF {
			// Only the thing itself: a lost connection may well wrap it.
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Seal sends what is still buffered and returns the size and checksum of the
// whole object; nothing can be written after it.
func (w *ObjectWriter) Seal() (Summary, error) {
	if w.buffer != nil {
		if err := w.ship(); err != nil {
			return Summary{}, err
		}
	}
	return Summary{Size: w.size, CRC32C: w.sum}, nil
}

// Finish ends a sealed object. sync asks the receiver to acknowledge it as soon
// as it can.
func (w *ObjectWriter) Finish(sync bool) error {
	s := w.lane
	s.current = nil
	var payload [endSize]byte
	binary.LittleEndian.PutUint64(payload[:], uint64(w.size))
	binary.LittleEndian.PutUint32(payload[8:], w.sum)
	f := frame{kind: frameEnd, length: endSize, argument: w.sequence}
	if sync {
		f.flags = flagSync
	}
	s.acks.Lock()
	s.ended[w.sequence] = struct{}{}
	s.acks.Unlock()
	return s.send(f, payload[:], true)
}

// Summary is the size and checksum of an object's bytes.
type Summary struct {
	Size   int64
	CRC32C uint32
}
