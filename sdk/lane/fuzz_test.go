package lane

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
)

func FuzzFrame(f *testing.F) {
	for _, v := range vectors() {
		for _, d := range v.frames {
			f.Add(d.bytes[:headerSize])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		parsed, err := parseFrame(b)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if parsed.length > maxData {
			t.Errorf("a payload of %d bytes is accepted", parsed.length)
		}
		if again := parsed.append(nil); !bytes.Equal(again, b[:headerSize]) {
			t.Errorf("%x is written as %x", b[:headerSize], again)
		}
	})
}

// closes reports whether what was read of b ends with a CLOSE frame.
func closes(b []byte, unread int) bool {
	read := b[:len(b)-unread]
	return len(read) >= headerSize && frameType(read[len(read)-headerSize]) == frameClose
}

func FuzzReceiver(f *testing.F) {
	for _, v := range vectors() {
		var all []byte
		for _, d := range v.frames {
			if frameType(d.bytes[0]) != frameHello {
				all = append(all, d.bytes...)
			}
		}
		f.Add(all, v.ring)
	}
	ring, file, err := newRing()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := errors.Join(ring.close(), file.Close()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, withRing bool) {
		source := bytes.NewReader(b)
		r := rawReceiver(source, nil)
		if withRing {
			r = rawReceiver(source, ring)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var err error
		for err == nil {
			var in *Incoming
			if in, err = r.Next(); err == nil {
				_, err = in.WriteTo(io.Discard)
				if err == nil && !in.Complete() {
					t.Error("an object ends without being complete")
				}
			}
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(64*len(b)+2*maxData+2*socketBuffer) {
			t.Errorf("%d bytes made it allocate %d", len(b), grown)
		}
		if errors.Is(err, io.EOF) && !closes(b, source.Len()+r.in.Buffered()) {
			t.Error("a lane ends normally without CLOSE")
		}
	})
}

func FuzzSenderHearing(f *testing.F) {
	for _, d := range [][]byte{
		append(frame{kind: frameAck, argument: 1, length: 2}.append(nil), "ok"...), frame{kind: frameFree}.append(nil), frame{kind: frameClose}.append(nil),
		append(frame{kind: frameAbort, length: 3}.append(nil), "why"...), frame{kind: frameData}.append(nil),
	} {
		f.Add(d)
		f.Add(append(d, d...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Sender{
			onAck: func(uint64, []byte) {}, outstanding: make(chan struct{}, maxOutstanding), ended: map[uint64]struct{}{1: {}},
			ring: &ring{slots: 2}, free: make(chan uint32, 2),
		}
		s.outstanding <- struct{}{}
		source := bytes.NewReader(b)
		in := bufio.NewReader(source)
		if err := s.readBackwards(in); err == nil && !closes(b, source.Len()+in.Buffered()) {
			t.Error("a lane ends normally without CLOSE")
		}
		if len(s.free) > 2 {
			t.Error("more slots are free than there are")
		}
	})
}
