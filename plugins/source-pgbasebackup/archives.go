package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
)

// archive is one of the byte sequences of a base backup: the tar archive of a
// directory, or the manifest.
type archive struct {
	directory
	manifest bool
}

// String names the archive in messages.
func (a archive) String() string {
	switch {
	case a.manifest:
		return "backup manifest"
	case a.oid == 0:
		return "data directory"
	}
	return fmt.Sprintf("tablespace %d (%s)", a.oid, a.location)
}

// archives reads the archives of a base backup from the connection, one after
// the other: next goes to an archive, Read reads it up to io.EOF.
//
// Since PostgreSQL 15 all of them come in one copy, whose messages begin with
// a tag: n for a new archive, m for the manifest, d for data, p for progress.
// Before, each archive is a copy of its own, in the order of the list of
// tablespaces, and the manifest comes last.
type archives struct {
	stream   *replication.Stream
	tagged   bool
	manifest bool
	list     []directory

	begun   bool
	over    bool // the copy that carries all archives has ended
	done    int  // archives begun so far
	pending *archive
	inside  bool // a data message is being read
	ended   bool // the current archive is over
	err     error
}

// next goes to the next archive; the previous one must have been read to its
// end. After the last one the error is io.EOF.
func (a *archives) next() (archive, error) {
	found, err := a.advance()
	if err != nil && err != io.EOF {
		a.err = err
	}
	return found, err
}

func (a *archives) advance() (archive, error) {
	if a.tagged {
		return a.nextTagged()
	}
	total := len(a.list)
	if a.manifest {
		total++
	}
	if a.done == total {
		return archive{}, io.EOF
	}
	if err := a.stream.Expect(replication.CopyOut); err != nil {
		return archive{}, err
	}
	found := archive{manifest: a.done == len(a.list)}
	if !found.manifest {
		found.directory = a.list[a.done]
	}
	a.done++
	a.over, a.ended, a.inside = false, false, false
	return found, nil
}

func (a *archives) nextTagged() (archive, error) {
	if !a.begun {
		if err := a.stream.Expect(replication.CopyOut); err != nil {
			return archive{}, err
		}
		a.begun, a.ended = true, true
	}
	for a.pending == nil {
		if a.over {
			return archive{}, a.complete()
		}
		if err := a.message(); err != nil {
			return archive{}, err
		}
		if a.inside {
			return archive{}, sdk.Errorf(sdk.Unavailable, "the server sent data outside of an archive")
		}
	}
	found := *a.pending
	a.pending = nil
	a.done++
	a.ended = false
	return found, nil
}

// complete is io.EOF when every archive that was announced has come.
func (a *archives) complete() error {
	want := len(a.list)
	if a.manifest {
		want++
	}
	if a.done != want {
		return sdk.Errorf(sdk.Unavailable, "the server sent %d archives, %d were announced", a.done, want)
	}
	return io.EOF
}

// Read fills p with bytes of the current archive, io.EOF at its end. It waits
// until p is full, because what a stage passes on should be in large pieces.
func (a *archives) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && a.err == nil && !a.ended {
		if !a.inside {
			a.err = a.message()
			a.ended = a.over || a.pending != nil
			continue
		}
		m, err := a.stream.Read(p[n:])
		n += m
		switch {
		case err == io.EOF:
			a.inside = false
		case err != nil:
			a.err = err
		}
	}
	switch {
	case n > 0 || len(p) == 0:
		return n, nil
	case a.err != nil:
		return 0, a.err
	}
	return 0, io.EOF
}

// message goes to the next message of a copy: data to be read (inside), the
// beginning of an archive (pending), or the end of the copy (over).
func (a *archives) message() error {
	kind, length, err := a.stream.Next()
	switch {
	case err != nil:
		return err
	case kind == replication.CopyDone:
		a.over = true
		return nil
	case kind != replication.CopyData:
		return sdk.Errorf(sdk.Unavailable, "the server sent a message of type %q in the middle of a copy", kind)
	case !a.tagged:
		a.inside = length > 0
		return nil
	}
	var tag [1]byte
	if _, err := io.ReadFull(a.stream, tag[:]); err != nil {
		return fmt.Errorf("the server sent a message without a tag: %w", err)
	}
	switch tag[0] {
	case 'd':
		a.inside = length > 1
		return nil
	case 'p': // how far the server is; the emitter counts for itself
		return nil
	case 'm':
		a.pending = &archive{manifest: true}
		return nil
	case 'n':
		body, err := a.stream.Body()
		if err != nil {
			return err
		}
		found, err := a.announced(body)
		a.pending = &found
		return err
	}
	return sdk.Errorf(sdk.Unavailable, "the server sent a copy message with the unknown tag %q", tag[0])
}

// announced reads the beginning of an archive: its file name, "base.tar" or
// "<oid>.tar" with the suffix of a compression, and the tablespace's location.
func (a *archives) announced(body []byte) (archive, error) {
	text, _, _ := bytes.Cut(body, []byte{0})
	name := string(text)
	stem, _, _ := strings.Cut(name, ".")
	var oid uint64
	if stem != "base" {
		var err error
		if oid, err = strconv.ParseUint(stem, 10, 32); err != nil || oid == 0 {
			return archive{}, sdk.Errorf(sdk.Unavailable, "the server sent an archive with the unknown name %q", name)
		}
	}
	for _, d := range a.list {
		if uint64(d.oid) == oid {
			return archive{directory: d}, nil
		}
	}
	return archive{}, sdk.Errorf(sdk.Unavailable, "the server sent an archive %q that it had not announced", name)
}
