package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Names lists up to n names of segments without a gap between them, the
// requested one first; nothing if that is not there. Other files have no
// successors. Errors are those of looking.
func Names(ctx context.Context, s *server.Server, request Request, n int) ([]string, error) {
	p := &presence{search: search{server: s, request: request}, listed: map[string]map[string]bool{}}
	size, err := p.segmentSize()
	if err != nil {
		return nil, err
	}
	var names []string
	for name := request.Name; len(names) < n; {
		there, err := p.has(ctx, name)
		if err == nil && !there && size == 0 && len(names) > 0 {
			// Names do not tell the size of segments: the log may end here.
			if name, there = nextLog(name); there {
				there, err = p.has(ctx, name)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("server %s: WAL file %s: %w", s.Name(), name, err)
		}
		if !there {
			break
		}
		names = append(names, name.String())
		if name.Kind != wal.KindSegment {
			break
		}
		if name, err = successor(name, size); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// successor is the name of the next segment. With an unknown size the last group
// of digits only counts on.
func successor(name wal.Name, size wal.SegmentSize) (wal.Name, error) {
	if size == 0 {
		return wal.ParseName(fmt.Sprintf("%s%08X%08X", name.Timeline, name.Log, name.Seg+1))
	}
	segment, err := name.Segment(size)
	if err != nil {
		return wal.Name{}, err
	}
	return wal.ParseName(segment.Next().Name(size))
}

// nextLog is the first segment of the next log, if name can be the first that
// its log does not have: there are a power of two in each.
func nextLog(name wal.Name) (wal.Name, bool) {
	perLog := uint64(name.Seg)
	if perLog < wal.MaxSegmentSize.PerLog() || perLog > wal.MinSegmentSize.PerLog() || perLog&(perLog-1) != 0 {
		return name, false
	}
	next, err := wal.ParseName(fmt.Sprintf("%s%08X%08X", name.Timeline, name.Log+1, 0))
	return next, err == nil
}

// presence answers whether files are there without reading them.
type presence struct {
	search
	listed map[string]map[string]bool // the names in a directory of a store elsewhere
}

// segmentSize reads the size of the requested segment; 0 if it does not tell.
func (p *presence) segmentSize() (wal.SegmentSize, error) {
	finished, unfinished, err := p.locations()
	if err != nil {
		return 0, err
	}
	for _, l := range append(finished, unfinished...) {
		file, _, err := openFile(p.path(l))
		if err != nil || file == nil {
			continue
		}
		size := headerSize(l.name, file)
		if err := file.Close(); err != nil {
			return 0, err
		}
		if size != 0 {
			return size, nil
		}
	}
	return 0, nil
}

func headerSize(name wal.Name, file io.Reader) wal.SegmentSize {
	plain, _, err := codec.Decoded(file)
	if err != nil {
		return 0
	}
	defer plain.Close()
	content := corewal.NewContent(name)
	if _, err := io.CopyN(content, plain, wal.LongPageHeaderSize); err != nil {
		return 0
	}
	return content.Header.SegmentSize
}

// has tells whether a file is at one of its locations.
func (p *presence) has(ctx context.Context, name wal.Name) (bool, error) {
	p.request.Name = name
	finished, unfinished, err := p.locations()
	if err != nil {
		return false, err
	}
	// The archive again: what was somewhere else before may have got there.
	locations := append(append(finished, unfinished...), finished[0])
	for _, l := range locations {
		info, err := os.Lstat(p.path(l))
		switch {
		case err == nil && info.Mode().IsRegular() && info.Size() > 0:
			return true, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return false, err
		}
	}
	if !p.server.WALStoredElsewhere() {
		return false, p.archiveIsThere()
	}
	prefix := path.Dir(catalogue.WALObject(name)) + "/"
	if p.listed[prefix] == nil {
		line := p.server.WALLine()
		objects, err := p.server.Engine.Find(ctx, line.Server, line.Sinks[0], prefix)
		if err != nil {
			return false, err
		}
		p.listed[prefix] = map[string]bool{}
		for _, o := range objects {
			p.listed[prefix][o.Name] = true
		}
	}
	for _, l := range locations {
		if l.place == Archive && p.listed[prefix][prefix+l.name.String()] {
			return true, nil
		}
	}
	return false, nil
}

// WriteTar writes up to n consecutive files, the requested one first, as entries
// of a tar archive, which it does not end. A series ends where a file is missing;
// that the first is, is a *MissingError. The errors are those of Write: the
// entries before are complete then, the last one may not be.
func WriteTar(ctx context.Context, s *server.Server, request Request, n int, archive *tar.Writer) ([]Result, error) {
	var results []Result
	for len(results) < n {
		entry := &tarEntry{archive: archive, name: request.Name.String()}
		out := &heldBack{w: entry}
		entry.size = func() int64 { return out.size() }
		result, err := write(ctx, s, request, out)
		err = errors.Join(err, entry.end(err == nil))
		var missing *MissingError
		if errors.As(err, &missing) && len(results) > 0 {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		results = append(results, result)
		if request.Name.Kind != wal.KindSegment || result.Name != request.Name.String() {
			return results, nil
		}
		if request.Name, err = successor(request.Name, result.SegmentSize); err != nil {
			return results, err
		}
	}
	return results, nil
}

// tarEntry is a file in a tar archive. One of unknown size waits in a temporary
// file until it is known.
type tarEntry struct {
	archive *tar.Writer
	name    string
	size    func() int64
	begun   bool
	waiting *os.File
}

func (e *tarEntry) Write(p []byte) (int, error) {
	if !e.begun {
		e.begun = true
		if err := e.begin(); err != nil {
			return 0, err
		}
	}
	if e.waiting != nil {
		return e.waiting.Write(p)
	}
	return e.archive.Write(p)
}

func (e *tarEntry) begin() error {
	if size := e.size(); size != unknownSize {
		return e.header(size)
	}
	f, err := os.CreateTemp("", "barman-get-wal-")
	if err != nil {
		return err
	}
	e.waiting = f
	return os.Remove(f.Name())
}

func (e *tarEntry) header(size int64) error {
	return e.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o600, Size: size, Format: tar.FormatPAX})
}

// end writes what waited, if it is complete.
func (e *tarEntry) end(complete bool) error {
	if e.waiting == nil {
		return nil
	}
	defer e.waiting.Close() // it is only read from now on
	if !complete {
		return nil
	}
	size, err := e.waiting.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = e.waiting.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = e.header(size)
	}
	if err == nil {
		_, err = io.Copy(e.archive, e.waiting)
	}
	return err
}
