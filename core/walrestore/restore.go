package walrestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/remote"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Source is a server of a barman on another host, and how WAL comes from there.
type Source struct {
	Barman remote.Barman
	// Server is the server's name there.
	Server string
	// Gzip, Bzip2 and KeepCompression say how the bytes are compressed on their way.
	Gzip, Bzip2, KeepCompression bool
}

// Request is a WAL file that PostgreSQL wants.
type Request struct {
	Source
	Name wal.Name
	// Destination is where PostgreSQL wants it.
	Destination string
	// Partial takes an unfinished segment if there is no finished one.
	Partial bool
	// Ahead is how many segments are fetched ahead; 0 for none.
	Ahead int
	// SpoolDirectory is where they wait.
	SpoolDirectory string
	// Prefetch starts the prefetcher: a process that calls Prefetch. It must not
	// wait for its end.
	Prefetch func(PrefetchRequest) error
	// Warn is told what does not keep the request from being answered.
	Warn func(error)
}

// Restore puts a WAL file where PostgreSQL wants it, from the spool or from
// barman. Nothing appears there unless it is complete.
//
// Errors: *fetch.MissingError when barman has no such file; of kind Invalid when
// the destination can't be written; Unavailable when barman can't be reached;
// Corrupt when what came is not the file; *remote.Failed for what failed there.
func Restore(ctx context.Context, request Request) error {
	if info, err := os.Stat(request.Destination); err == nil && info.IsDir() {
		return sdk.Errorf(sdk.Invalid, "WAL_DEST %s is a directory: give the name of the file to write, as %%p in restore_command does", request.Destination)
	}
	if request.Ahead <= 0 || request.Name.Kind != wal.KindSegment {
		_, err := request.direct(ctx)
		return err
	}
	s, err := openSpool(request.SpoolDirectory, request.key()...)
	if err != nil {
		request.Warn(fmt.Errorf("WAL is not fetched ahead: %w", err))
		_, err := request.direct(ctx)
		return err
	}
	size, err := request.fromSpool(ctx, s)
	if err != nil {
		request.Warn(fmt.Errorf("spool %s: %w", s.path, err))
	}
	if size == 0 {
		if size, err = request.direct(ctx); err != nil {
			return err
		}
	}
	if err := request.ensurePrefetcher(s, size); err != nil {
		request.Warn(fmt.Errorf("WAL is not fetched ahead: %w", err))
	}
	return nil
}

// key tells spools apart: what is asked, and for which data directory.
func (r Request) key() []string {
	directory, err := filepath.Abs(filepath.Dir(r.Destination))
	if err != nil {
		directory = r.Destination
	}
	b := r.Barman
	return []string{b.User, b.Host, strconv.Itoa(b.Port), b.Config, r.Server, directory}
}

// fromSpool hands out what was fetched ahead and returns its size; 0 if it was
// not.
func (r Request) fromSpool(ctx context.Context, s spool) (wal.SegmentSize, error) {
	// The prefetcher has to know before it is waited for: it may be waiting for room.
	if err := s.want(r.Name); err != nil {
		return 0, err
	}
	system := systemID(".")
	size, err := s.take(r.Name, r.Destination, system)
	if size != 0 || err != nil {
		return size, err
	}
	s.await(r.Name, ctx.Done())
	return s.take(r.Name, r.Destination, system)
}

// ensurePrefetcher sees to it that a prefetcher is at work on what comes next.
func (r Request) ensurePrefetcher(s spool, size wal.SegmentSize) error {
	next, err := successor(r.Name, size)
	if err != nil || s.has(next) || s.locked() || s.failedLately() {
		return err
	}
	if err := r.Prefetch(PrefetchRequest{Source: r.Source, Spool: s.path, Next: next, Ahead: r.Ahead}); err != nil {
		return err
	}
	// PostgreSQL may ask for the next one at once. Unless it can be seen then that it
	// is on its way, the prefetcher is overtaken.
	for begun := time.Now(); time.Since(begun) < promiseTime; time.Sleep(time.Millisecond) {
		if there, _ := s.arriving(next); there || s.has(next) {
			break
		}
	}
	return nil
}

// promiseTime is how long a prefetcher may take to begin.
const promiseTime = 200 * time.Millisecond

func successor(name wal.Name, size wal.SegmentSize) (wal.Name, error) {
	segment, err := name.Segment(size)
	if err != nil {
		return wal.Name{}, err
	}
	return wal.ParseName(segment.Next().Name(size))
}

// direct fetches the file while PostgreSQL waits.
func (r Request) direct(ctx context.Context) (wal.SegmentSize, error) {
	to, err := durable.NewReplacement(r.Destination, 0o600)
	if err != nil {
		return 0, sdk.Errorf(sdk.Invalid, "WAL_DEST cannot be written: %w", err)
	}
	content, err := r.get(ctx, r.Name, r.Partial, to)
	if err != nil {
		return 0, errors.Join(err, to.Abort())
	}
	return content.Header.SegmentSize, to.Publish()
}

// get runs get-wal on the other host and writes the file's content.
func (s Source) get(ctx context.Context, name wal.Name, partial bool, to io.Writer) (*corewal.Content, error) {
	args := []string{"get-wal"}
	if partial {
		args = append(args, "--partial")
	}
	content := corewal.NewContent(name)
	err := s.run(ctx, name, append(args, s.form()...), func(r io.Reader) error { return receive(content, to, r) })
	return content, err
}

// form are the options of get-wal for the bytes on their way.
func (s Source) form() []string {
	switch {
	case s.Gzip:
		return []string{"--gzip"}
	case s.Bzip2:
		return []string{"--bzip2"}
	case s.KeepCompression:
		return []string{"--keep-compression"}
	}
	return nil
}

// receive copies a WAL file that comes, decompressed and checked.
func receive(content *corewal.Content, to io.Writer, r io.Reader) error {
	plain, _, err := codec.Decoded(r)
	if err != nil {
		return unlike(content, err)
	}
	defer plain.Close()
	if _, err := io.CopyBuffer(io.MultiWriter(content, to), struct{ io.Reader }{plain}, make([]byte, 256<<10)); err != nil {
		return unlike(content, err)
	}
	return content.Finish()
}

// unlike gives the errors of decompression their kind.
func unlike(content *corewal.Content, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return sdk.Errorf(sdk.Corrupt, "it ends early, after %d bytes: %w", content.Size(), err)
	}
	return err
}

// stallTime is how long nothing may come before the connection is taken for
// dead.
const stallTime = 2 * time.Minute

// run runs a command on the other host whose last arguments are the server and
// the file, and hands its output to take. The command's failure counts more than
// what take makes of an output that is cut off by it.
func (s Source) run(ctx context.Context, name wal.Name, args []string, take func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reading, writing := io.Pipe()
	var said tail
	ended := make(chan error, 1)
	go func() {
		err := s.Barman.Run(ctx, remote.Streams{Out: writing, Err: &said}, append(args, s.Server, name.String())...)
		ended <- err
		writing.CloseWithError(io.EOF)
	}()
	watched := &stallable{r: reading, timer: time.AfterFunc(stallTime, func() { cancel(errStalled) })}
	defer watched.timer.Stop()
	taken := take(watched)
	if taken == nil {
		taken = drain(watched)
	}
	atEnd := watched.ended
	if taken != nil {
		cancel(taken)
	}
	reading.CloseWithError(errEnough) // what still comes is not wanted
	err := <-ended
	switch {
	case taken != nil && !atEnd && !errors.Is(context.Cause(ctx), errStalled):
		return fmt.Errorf("what %s sent as WAL file %s: %w", s.Barman.Host, name, taken)
	case errors.Is(context.Cause(ctx), errStalled):
		return sdk.Errorf(sdk.Unavailable, "%s: %w", s.Barman.Host, errStalled)
	case err != nil && !errors.Is(err, errEnough):
		return s.failure(name, err, said.String())
	case taken != nil:
		return fmt.Errorf("what %s sent as WAL file %s: %w", s.Barman.Host, name, taken)
	}
	return nil
}

// drain reads what may come after all that was wanted, which is little.
func drain(r io.Reader) error {
	const little = 1 << 20
	if n, err := io.CopyN(io.Discard, r, little); err == nil {
		return sdk.Errorf(sdk.Corrupt, "more than %d bytes come after it", n)
	}
	return nil
}

var (
	errEnough  = errors.New("no more is wanted")
	errStalled = fmt.Errorf("nothing came for %s: the connection is dead", stallTime)
)

// failure tells what a command failed with. That a file is missing is the exit
// code 1; but Python Barman has it for all other errors too.
func (s Source) failure(name wal.Name, err error, said string) error {
	const missing = 1
	var failed *remote.Failed
	if errors.As(err, &failed) && failed.Code == missing && onlyMissing(said) {
		return &fetch.MissingError{Name: name.String(), Server: s.Server}
	}
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}

// onlyMissing tells whether nothing else is wrong than that the file is not
// there.
func onlyMissing(said string) bool {
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "EXCEPTION: ") || strings.HasPrefix(line, "ERROR: ") && !strings.Contains(line, "not found in server") {
			return false
		}
	}
	return true
}

// stallable is a reader that restarts a timer whenever bytes come.
type stallable struct {
	r     io.Reader
	timer *time.Timer
	ended bool
}

func (s *stallable) Read(p []byte) (int, error) {
	s.timer.Reset(stallTime)
	n, err := s.r.Read(p)
	s.timer.Stop() // nobody waits for the other host while the bytes are worked on
	if err != nil {
		s.ended = true
	}
	return n, err
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.kept)) }

func isMissing(err error) bool {
	var missing *fetch.MissingError
	return errors.As(err, &missing)
}
