package lane

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the test vectors anew")

// described is a frame with what it is, for the reader of a vector.
type described struct {
	what  string
	bytes []byte
}

func raw(what string, f frame, payload []byte) described {
	return described{what, append(f.append(nil), payload...)}
}

func hello(version, capabilities uint32) described {
	return raw(fmt.Sprintf("HELLO: version %d, capabilities %d, %q", version, capabilities, magic),
		frame{kind: frameHello, length: uint32(len(magic)), argument: pair(version, capabilities)}, []byte(magic))
}

func begin(sequence uint64, header string) described {
	return raw(fmt.Sprintf("OBJECT %d: header %q", sequence, header), frame{kind: frameObject, length: uint32(len(header)), argument: sequence}, []byte(header))
}

func data(b string) described {
	return raw(fmt.Sprintf("DATA: %q", b), frame{kind: frameData, length: uint32(len(b))}, []byte(b))
}

func filled(slot, length uint32) described {
	return raw(fmt.Sprintf("SLOT %d: %d bytes", slot, length), frame{kind: frameSlot, argument: pair(slot, length)}, nil)
}

func end(sequence uint64, flags byte, size uint64, sum uint32) described {
	payload := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, size), sum)
	return raw(fmt.Sprintf("END %d: flags %d, %d bytes, CRC-32C %08x", sequence, flags, size, sum),
		frame{kind: frameEnd, flags: flags, length: endSize, argument: sequence}, payload)
}

func endOf(sequence uint64, content string) described {
	return end(sequence, 0, uint64(len(content)), crc32.Checksum([]byte(content), castagnoli))
}

func closed() described { return raw("CLOSE", frame{kind: frameClose}, nil) }

func aborted(reason string) described {
	return raw(fmt.Sprintf("ABORT: %q", reason), frame{kind: frameAbort, length: uint32(len(reason))}, []byte(reason))
}

// ringFill is what a vector's sender has written into the slot i of its ring.
func ringFill(i uint32) byte { return 'a' + byte(i) }

// vector is a stream from a sender, and what a receiver has to make of it.
type vector struct {
	name    string
	about   string
	ring    bool
	frames  []described
	objects []string
	err     error // wrapped by the receiver's; nil for a lane that is closed
}

func vectors() []vector {
	h := hello(Version, 0)
	slots := strings.Repeat("a", 262144) + strings.Repeat("b", 3)
	return []vector{
		{name: "closed", about: "A lane without an object.", frames: []described{h, closed()}},
		{name: "object", about: "One object of nine bytes in two frames.", frames: []described{h, begin(1, "name"), data("12345"), data("6789"), endOf(1, "123456789"), closed()}, objects: []string{"123456789"}},
		{name: "empty-object", about: "An object without bytes and without a header.", frames: []described{h, begin(1, ""), endOf(1, ""), closed()}, objects: []string{""}},
		{name: "two-objects", about: "Two objects; the sender waits for the second one's acknowledgement.",
			frames: []described{h, begin(1, "a"), data("first"), endOf(1, "first"), begin(2, "b"), data("second"), end(2, flagSync, 6, crc32.Checksum([]byte("second"), castagnoli)), closed()}, objects: []string{"first", "second"}},
		{name: "slots", about: "An object in two slots of the ring: slot 0 full of the letter a, slot 1 with three b. The RING frame travels between HELLO and OBJECT, with the descriptor.",
			ring: true, frames: []described{begin(1, "big"), filled(0, 262144), filled(1, 3), endOf(1, slots), closed()}, objects: []string{slots}},
		{name: "slots-and-data", about: "Both ways in one object.", ring: true,
			frames: []described{begin(1, "mixed"), data("x"), filled(7, 2), data("y"), endOf(1, "xhhy"), closed()}, objects: []string{"xhhy"}},
		{name: "abort-between", about: "The sender gives up between two objects.", frames: []described{h, begin(1, "a"), data("first"), endOf(1, "first"), aborted("why")}, objects: []string{"first"}, err: new(AbortError)},
		{name: "abort-inside", about: "The sender gives up inside an object.", frames: []described{h, begin(1, "a"), data("fir"), aborted("why")}, err: new(AbortError)},
		{name: "cut-between", about: "The socket ends between two objects, without CLOSE.", frames: []described{h, begin(1, "a"), data("first"), endOf(1, "first")}, objects: []string{"first"}, err: ErrBroken},
		{name: "cut-inside", about: "The socket ends inside an object.", frames: []described{h, begin(1, "a"), data("fir")}, err: ErrBroken},
		{name: "bad-version", about: "A version that does not exist.", frames: []described{hello(4711, 0), closed()}, err: ErrProtocol},
		{name: "bad-magic", about: "Not a lane.", frames: []described{raw("HELLO: version 1, capabilities 0, another magic", frame{kind: frameHello, length: uint32(len(magic)), argument: pair(Version, 0)}, []byte("barman-LANE"))}, err: ErrProtocol},
		{name: "bad-first-frame", about: "No HELLO.", frames: []described{begin(1, "a")}, err: ErrProtocol},
		{name: "bad-type", about: "A frame type that does not exist.", frames: []described{h, raw("type 99", frame{kind: 99}, nil)}, err: ErrProtocol},
		{name: "bad-reserved", about: "A reserved byte that is not zero.", frames: []described{h, {"CLOSE with the byte at offset 2 set", []byte{7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}}, err: ErrProtocol},
		{name: "bad-header-length", about: "An object's header of 64 KiB and one byte.", frames: []described{h, raw("OBJECT 1: header of 65537 bytes, not sent", frame{kind: frameObject, length: 65537, argument: 1}, nil)}, err: ErrProtocol},
		{name: "bad-data-length", about: "A DATA frame of 256 KiB and one byte.", frames: []described{h, begin(1, "a"), raw("DATA: 262145 bytes, not sent", frame{kind: frameData, length: 262145}, nil)}, err: ErrProtocol},
		{name: "bad-sequence", about: "The first object has number 2.", frames: []described{h, begin(2, "a")}, err: ErrProtocol},
		{name: "bad-end-sequence", about: "Another object ends than has begun.", frames: []described{h, begin(1, "a"), endOf(2, "")}, err: ErrProtocol},
		{name: "bad-checksum", about: "The checksum is another one than that of the bytes.", frames: []described{h, begin(1, "a"), data("12345"), end(1, 0, 5, 0xdeadbeef), closed()}, err: ErrCorrupt},
		{name: "bad-size", about: "The size is another one than that of the bytes.", frames: []described{h, begin(1, "a"), data("12345"), end(1, 0, 6, crc32.Checksum([]byte("12345"), castagnoli)), closed()}, err: ErrCorrupt},
		{name: "bad-object-in-object", about: "An object begins inside another.", frames: []described{h, begin(1, "a"), begin(2, "b")}, err: ErrProtocol},
		{name: "bad-close-in-object", about: "CLOSE inside an object.", frames: []described{h, begin(1, "a"), data("12345"), closed()}, err: ErrProtocol},
		{name: "bad-data-between", about: "DATA between objects.", frames: []described{h, data("12345")}, err: ErrProtocol},
		{name: "bad-slot-without-ring", about: "A slot, but there is no ring.", frames: []described{h, begin(1, "a"), filled(0, 1)}, err: ErrProtocol},
		{name: "bad-slot-number", about: "A slot that the ring does not have.", ring: true, frames: []described{begin(1, "a"), filled(8, 1)}, err: ErrProtocol},
		{name: "bad-slot-length", about: "More bytes than a slot holds.", ring: true, frames: []described{begin(1, "a"), filled(0, 262145)}, err: ErrProtocol},
		{name: "bad-slot-twice", about: "A slot is filled again before it was given back.", ring: true, frames: []described{begin(1, "a"), filled(0, 1), filled(0, 1), endOf(1, "aa"), closed()}, err: ErrProtocol},
		{name: "bad-ack-forwards", about: "An acknowledgement in the wrong direction.", frames: []described{h, raw("ACK 1", frame{kind: frameAck, argument: 1}, nil)}, err: ErrProtocol},
	}
}

// render writes a vector as hexadecimal digits with comments.
func (v vector) render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", v.about)
	if v.ring {
		b.WriteString("# With a ring; HELLO and RING came before. Slot i is filled with the i-th letter.\n")
	}
	switch {
	case v.err == nil:
		fmt.Fprintf(&b, "# The receiver takes %d complete objects, and the lane is closed.\n", len(v.objects))
	default:
		fmt.Fprintf(&b, "# The receiver takes %d complete objects, and then fails: %s.\n", len(v.objects), strings.TrimPrefix(v.err.Error(), "lane: "))
	}
	for _, f := range v.frames {
		fmt.Fprintf(&b, "\n# %s\n%s\n", f.what, hex.EncodeToString(f.bytes[:headerSize]))
		for part := range slices.Chunk(f.bytes[headerSize:], 32) {
			fmt.Fprintf(&b, "%s\n", hex.EncodeToString(part))
		}
	}
	return b.String()
}

// parse reads a vector's bytes back.
func parse(t testing.TB, text string) []byte {
	t.Helper()
	var all []byte
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func TestTheVectorsInTestdataAreWhatThisImplementationSends(t *testing.T) {
	var names []string
	for _, v := range vectors() {
		path := filepath.Join("testdata", v.name+".hex")
		names = append(names, path)
		if *update {
			if err := os.WriteFile(path, []byte(v.render()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; write the vectors with: go test ./sdk/lane -run Vectors -update", err)
		}
		if string(b) != v.render() {
			t.Errorf("%s differs; if the format changed on purpose, its version has to change too", path)
		}
	}
	found, err := filepath.Glob("testdata/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if !slices.Equal(found, names) {
		t.Errorf("testdata holds %q, the vectors are %q", found, names)
	}
}

func TestAReceiverMakesOfEachVectorWhatItSays(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", v.name+".hex"))
			if err != nil {
				t.Fatal(err)
			}
			got := feed(t, parse(t, string(b)), v.ring)
			if !slices.Equal(got.objects, v.objects) {
				t.Errorf("%s instead of %d objects", describe(got), len(v.objects))
			}
			var abort *AbortError
			switch {
			case v.err == nil && !errors.Is(got.err, io.EOF):
				t.Errorf("the lane ends with %v instead of normally", got.err)
			case errors.As(v.err, &abort):
				if !errors.As(got.err, &abort) || string(abort.Reason) != "why" {
					t.Errorf("the lane ends with %v instead of being aborted", got.err)
				}
			case v.err != nil && !errors.Is(got.err, v.err):
				t.Errorf("the lane ends with %v instead of %v", got.err, v.err)
			}
		})
	}
}

// feed sends bytes to a receiver over a real socket.
func feed(t *testing.T, b []byte, withRing bool) received {
	t.Helper()
	if withRing {
		ring, file, err := newRing()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(ring.close(), file.Close()); err != nil {
				t.Error(err)
			}
		}()
		for i := range ring.slots {
			copy(ring.slot(i), bytes.Repeat([]byte{ringFill(i)}, int(ring.slotSize)))
		}
		return drain(rawReceiver(bytes.NewReader(b), ring))
	}
	a := address(t)
	l, err := Listen(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan received, 1)
	go func() {
		r, err := l.Accept(t.Context())
		if err != nil {
			result <- received{err: err}
			return
		}
		got := drain(r)
		// What the end says is what drain has found.
		_ = finish(r, got)
		result <- got
	}()
	conn := rawPeer(t, a)
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return <-result
}
