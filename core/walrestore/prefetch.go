package walrestore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/remote"
	corewal "github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	// inARow is how many segments one connection is asked for.
	inARow = 64
	// maxSpool bounds the bytes in the spool, but for one segment that is always
	// fetched ahead.
	maxSpool = 2 << 30
	// connectedTime is how long a connection is kept while the spool is full.
	connectedTime = 30 * time.Second
	// idleTime is how long the prefetcher waits for PostgreSQL to ask.
	idleTime = 10 * time.Minute
	// pollTime is how often the prefetcher looks whether there is room.
	pollTime = 5 * time.Millisecond
	// lockTime is how long the one before may take to end.
	lockTime = 2 * time.Second
)

// PrefetchRequest is what a prefetcher is to do.
type PrefetchRequest struct {
	Source
	// Spool is the directory to fill.
	Spool string
	// Next is the segment to begin with.
	Next wal.Name
	// Ahead is how many segments may wait in the spool.
	Ahead int
	// Logger hears what the prefetcher does.
	Logger hclog.Logger
}

// Prefetch keeps a spool filled until there is nothing to do any more. It returns
// at once when another process does so.
func Prefetch(ctx context.Context, request PrefetchRequest) error {
	p := &prefetcher{PrefetchRequest: request, spool: spool{path: request.Spool}}
	lock, err := p.spool.lock(lockTime)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close() // nothing was written
	if err := p.run(ctx); err != nil {
		if noted := os.WriteFile(p.spool.file(failedFile), []byte(err.Error()+"\n"), 0o600); noted != nil {
			p.Logger.Warn("the failure cannot be noted", "error", noted)
		}
		return err
	}
	return nil
}

// prefetcher is one run of it. Next is the segment that is fetched next.
type prefetcher struct {
	PrefetchRequest
	spool spool

	mu     sync.Mutex
	size   wal.SegmentSize // of segments, once one has come
	flying int             // segments that are being fetched each by itself
}

// errDone ends a prefetcher that has nothing to do any more.
var errDone = errors.New("nothing to do")

// errDisconnect ends a connection that nobody needs at the moment.
var errDisconnect = errors.New("the spool was full for long")

func (p *prefetcher) run(ctx context.Context) error {
	defer p.forget()
	// What does not follow without a gap would only take up the room.
	follows := p.spool.has(p.Next)
	err := p.spool.clear(func(name wal.Name) bool { return follows && name.Timeline == p.Next.Timeline && !before(name, p.Next) })
	fetchMore := p.fetchTar
	for err == nil {
		if err = p.skipFetched(); err != nil {
			break
		}
		if err = p.promise(p.Next); err != nil {
			break
		}
		if err = p.waitForRoom(ctx, false); err != nil {
			break
		}
		err = fetchMore(ctx)
		switch {
		case errors.Is(err, errNoTar):
			p.Logger.Info("barman there does not know --tar: segments are fetched one by one")
			fetchMore, err = p.fetchEach, nil
		case errors.Is(err, errDisconnect):
			err = nil
		}
	}
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// promise tells who asks for a segment that it is about to be fetched.
func (p *prefetcher) promise(name wal.Name) error {
	f, err := p.spool.newPart(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// forget takes back what was promised.
func (p *prefetcher) forget() {
	if err := p.spool.clear(func(wal.Name) bool { return true }); err != nil {
		p.Logger.Warn("leaving the spool", "error", err)
	}
}

// skipFetched passes over what is in the spool already.
func (p *prefetcher) skipFetched() error {
	for p.spool.has(p.Next) {
		f, err := os.Open(p.spool.file(p.Next.String()))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		header, err := check(p.Next, f)
		if closed := f.Close(); closed != nil {
			return closed
		}
		if err != nil {
			return os.Remove(p.spool.file(p.Next.String()))
		}
		p.noteSize(header.SegmentSize)
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// advance goes on to the next segment.
func (p *prefetcher) advance() (err error) {
	p.Next, err = successor(p.Next, p.size)
	return err
}

func (p *prefetcher) noteSize(size wal.SegmentSize) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = size
}

// waitForRoom waits until another segment may be fetched. A connection is not
// kept waiting for long: then it is errDisconnect. PostgreSQL's asking for
// something else, or for nothing any more, is errDone.
func (p *prefetcher) waitForRoom(ctx context.Context, connected bool) error {
	for begun := time.Now(); ; {
		wanted, when := p.spool.wanted()
		if wanted.Kind != 0 && (wanted.Timeline != p.Next.Timeline || before(p.Next, wanted)) {
			return errDone
		}
		waiting, err := p.spool.segments()
		if err == nil && wanted.Kind != 0 {
			waiting, err = p.withoutPassed(waiting, wanted)
		}
		if err != nil {
			return err
		}
		if p.hasRoom(len(waiting)) {
			return nil
		}
		if wanted.Kind != 0 && p.wentBack(wanted) {
			return errDone
		}
		if time.Since(when) > idleTime {
			return errors.Join(errDone, p.spool.clear(func(wal.Name) bool { return false }))
		}
		if connected && time.Since(begun) > connectedTime {
			return errDisconnect
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollTime):
		}
	}
}

// wentBack tells whether PostgreSQL wants segments before those that wait, as it
// does after a restart.
func (p *prefetcher) wentBack(wanted wal.Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size == 0 {
		return false
	}
	next, err := successor(wanted, p.size)
	if now, _ := p.spool.wanted(); now != wanted {
		return false // it goes on this very moment
	}
	return err == nil && next.String() != p.Next.String() && !p.spool.has(next) && !p.spool.has(wanted)
}

// withoutPassed removes segments that PostgreSQL has passed.
func (p *prefetcher) withoutPassed(waiting []wal.Name, wanted wal.Name) ([]wal.Name, error) {
	var ahead []wal.Name
	for _, name := range waiting {
		if name.Timeline == wanted.Timeline && before(wanted, name) {
			ahead = append(ahead, name)
			continue
		}
		// One that is just being handed out is gone in a moment.
		if name.String() == wanted.String() {
			continue
		}
		if err := os.Remove(p.spool.file(name.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return ahead, nil
}

// hasRoom tells whether another segment may be fetched beside those that wait.
func (p *prefetcher) hasRoom(waiting int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.Ahead
	if p.size != 0 {
		limit = max(1, min(limit, maxSpool/int(p.size)))
	}
	return waiting+p.flying < limit
}

// errNoTar says that the barman there may not know the option.
var errNoTar = errors.New("get-wal --tar failed at once")

// fetchTar fetches the segments from Next on over one connection.
func (p *prefetcher) fetchTar(ctx context.Context) error {
	came := 0
	form := p.form()
	if len(form) == 0 {
		// A tenth of the bytes to encrypt, and to decrypt, is worth decompressing here.
		form = []string{"--keep-compression"}
	}
	args := append([]string{"get-wal", "--tar", "--peek", strconv.Itoa(inARow)}, form...)
	err := p.Source.run(ctx, p.Next, args, func(r io.Reader) error {
		archive := tar.NewReader(r)
		for {
			header, err := archive.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if header.Typeflag != tar.TypeReg || header.Name != p.Next.String() {
				return sdk.Errorf(sdk.Corrupt, "%q was sent in the place of %s", header.Name, p.Next)
			}
			if err := p.waitForRoom(ctx, true); err != nil {
				return err
			}
			err = p.store(p.Next, func(content *corewal.Content, to io.Writer) error { return receive(content, to, archive) })
			if err != nil {
				return err
			}
			came++
			if err := p.advance(); err != nil {
				return err
			}
			if err := p.promise(p.Next); err != nil {
				return err
			}
		}
	})
	var failed *remote.Failed
	switch {
	case came == 0 && errors.As(err, &failed):
		return errNoTar
	case came == 0 && isMissing(err):
		return errDone
	case err == nil && came < inARow:
		return errDone // there are no more
	}
	return err
}

// fetchEach fetches segments from Next on, each over a connection of its own.
func (p *prefetcher) fetchEach(ctx context.Context) error {
	var names []wal.Name
	err := p.Source.run(ctx, p.Next, []string{"get-wal", "--peek", strconv.Itoa(inARow)}, func(r io.Reader) (err error) {
		names, err = readNames(r, p.Next, inARow)
		return err
	})
	if err == nil && len(names) == 0 || isMissing(err) {
		return errDone
	}
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		p.Next = name
		if err := p.waitForRoom(ctx, false); err != nil {
			return errors.Join(group.Wait(), err)
		}
		if p.spool.has(name) {
			continue
		}
		p.fly(1)
		group.Go(func() error {
			defer p.fly(-1)
			return p.store(name, func(content *corewal.Content, to io.Writer) error {
				got, err := p.get(ctx, name, false, to)
				*content = *got
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if p.size == 0 {
		return errDone // all were there already, and are gone
	}
	return p.advance()
}

func (p *prefetcher) fly(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flying += n
}

// store puts a segment into the spool, where it appears when it is whole.
func (p *prefetcher) store(name wal.Name, fill func(*corewal.Content, io.Writer) error) error {
	f, err := p.spool.newPart(name)
	if err != nil {
		return err
	}
	content := corewal.NewContent(name)
	err = errors.Join(fill(content, f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), p.spool.file(name.String()))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), os.Remove(f.Name()))
	}
	p.noteSize(content.Header.SegmentSize)
	p.Logger.Debug("fetched ahead", "file", name.String())
	return nil
}
