package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// elder is a door to a real server that behaves as PostgreSQL 14 did: it says
// so, takes BASE_BACKUP in the old syntax, sends each archive as a copy of its
// own and leaves the end of tar archives out.
func elder(t *testing.T, c *pgtest.Cluster) (conninfo string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
			if err != nil {
				client.Close()
				return
			}
			go askInNewSyntax(client, server)
			go answerInOldForm(server, client)
		}
	}()
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres sslmode=disable", listener.Addr().(*net.TCPAddr).Port)
}

func askInNewSyntax(client, server net.Conn) {
	defer server.Close()
	var length [4]byte
	if _, err := io.ReadFull(client, length[:]); err != nil { // the startup message has no type
		return
	}
	startup := make([]byte, binary.BigEndian.Uint32(length[:])-4)
	if _, err := io.ReadFull(client, startup); err != nil {
		return
	}
	_, _ = server.Write(append(length[:], startup...))
	for {
		kind, body, err := readMessage(client)
		if err != nil {
			return
		}
		if old, found := strings.CutPrefix(string(body), "BASE_BACKUP LABEL 'it''s a label' PROGRESS FAST NOWAIT"); kind == 'Q' && found {
			if old != " MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'\x00" {
				return
			}
			body = []byte("BASE_BACKUP (LABEL 'it''s a label', PROGRESS, CHECKPOINT 'fast', WAIT false, MANIFEST 'yes')\x00")
		}
		writeMessage(server, kind, body)
	}
}

func answerInOldForm(server, client net.Conn) {
	defer client.Close()
	const terminator = 2 * blockSize
	var held []byte // what may be the end of a tar archive
	open, manifest := false, false
	copyOut := []byte{0, 0, 0}
	endCopy := func() {
		if manifest {
			writeMessage(client, 'd', held)
		}
		held = nil
		writeMessage(client, 'c', nil)
	}
	for {
		kind, body, err := readMessage(server)
		if err != nil {
			return
		}
		switch {
		case kind == 'S' && bytes.HasPrefix(body, []byte("server_version\x00")):
			writeMessage(client, kind, []byte("server_version\x0014.9 (Elder)\x00"))
		case kind == 'H':
		case kind == 'c':
			endCopy()
		case kind == 'd' && (body[0] == 'n' || body[0] == 'm'):
			if open {
				endCopy()
			}
			open, manifest = true, body[0] == 'm'
			writeMessage(client, 'H', copyOut)
		case kind == 'd' && body[0] == 'd':
			held = append(held, body[1:]...)
			if send := len(held) - terminator; send > 0 && !manifest {
				writeMessage(client, 'd', held[:send])
				held = append(held[:0], held[send:]...)
			}
		case kind == 'd':
		default:
			writeMessage(client, kind, body)
		}
	}
}

func readMessage(r io.Reader) (kind byte, body []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	_, err = io.ReadFull(r, body)
	return header[0], body, err
}

func writeMessage(w io.Writer, kind byte, body []byte) {
	message := append([]byte{kind}, binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))...)
	_, _ = w.Write(append(message, body...))
}
