package lane

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Options are an end's choices.
type Options struct {
	// NoRing keeps this end from offering or accepting shared memory; all bytes
	// then go through the socket.
	NoRing bool
}

func (o Options) capabilities() uint32 {
	if o.NoRing {
		return 0
	}
	return capabilityRing
}

func writeHello(conn *net.UnixConn, capabilities uint32) error {
	f := frame{kind: frameHello, length: uint32(len(magic)), argument: pair(Version, capabilities)}
	_, err := conn.Write(append(f.append(nil), magic...))
	return err
}

func readHello(conn *net.UnixConn) (capabilities uint32, err error) {
	var scratch [headerSize]byte
	f, err := readFrame(conn, &scratch)
	if err != nil {
		return 0, err
	}
	if f.kind != frameHello {
		return 0, fmt.Errorf("%w: frame type %d instead of HELLO", ErrProtocol, f.kind)
	}
	payload, err := readPayload(conn, f)
	if err != nil {
		return 0, err
	}
	if string(payload) != magic {
		return 0, fmt.Errorf("%w: not a lane", ErrProtocol)
	}
	if f.high() != Version {
		return 0, fmt.Errorf("%w: the peer speaks version %d, this end %d", ErrProtocol, f.high(), Version)
	}
	return f.low(), nil
}

// greet is the sender's side: say hello, hear hello, offer the ring.
func greet(conn *net.UnixConn, options Options) (*ring, error) {
	r, file, capabilities := (*ring)(nil), (*os.File)(nil), uint32(0)
	if !options.NoRing {
		// A kernel or sandbox without sealed memory files is no error: the socket
		// carries the bytes then.
		if created, f, err := newRing(); err == nil {
			r, file, capabilities = created, f, capabilityRing
		}
	}
	agreed, err := func() (bool, error) {
		if err := writeHello(conn, capabilities); err != nil {
			return false, err
		}
		theirs, err := readHello(conn)
		if err != nil || capabilities&theirs&capabilityRing == 0 {
			return false, err
		}
		f := frame{kind: frameRing, argument: pair(r.slots, r.slotSize)}
		_, _, err = conn.WriteMsgUnix(f.append(nil), unix.UnixRights(int(file.Fd())), nil)
		return err == nil, err
	}()
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	if agreed && err == nil {
		return r, nil
	}
	return nil, errors.Join(err, r.close())
}

// welcome is the receiver's side: hear hello, say hello, take the ring.
func welcome(conn *net.UnixConn, options Options) (*ring, error) {
	theirs, err := readHello(conn)
	if err != nil {
		return nil, err
	}
	ours := options.capabilities()
	if err := writeHello(conn, ours); err != nil {
		return nil, err
	}
	if ours&theirs&capabilityRing == 0 {
		return nil, nil
	}
	return receiveRing(conn)
}

func receiveRing(conn *net.UnixConn) (*ring, error) {
	header := make([]byte, headerSize)
	rights := make([]byte, unix.CmsgSpace(4))
	n, rightsLength, _, _, err := conn.ReadMsgUnix(header, rights)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if n < headerSize {
		if err := readFull(conn, header[n:]); err != nil {
			return nil, err
		}
	}
	f, err := parseFrame(header)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLength])
	if err != nil || len(messages) != 1 || f.kind != frameRing {
		return nil, fmt.Errorf("%w: no ring after HELLO", ErrProtocol)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("%w: no descriptor with the ring", ErrProtocol)
	}
	unix.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "barman-lane")
	r, err := mapRing(file, f.high(), f.low())
	return r, errors.Join(err, file.Close())
}
