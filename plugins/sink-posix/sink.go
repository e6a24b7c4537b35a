package main

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/barman-go/barman/sdk"
)

// bufferSize is how much is read and written at a time. A lane delivers up to
// 256 KiB at once.
const bufferSize = 256 << 10

// Sink stores objects as files.
type Sink struct {
	tree        *tree
	commits     *committer
	temporaries *temporaries
	unpack      bool
	reuse       bool
	volatile    bool
	mounts      []*mount
	limit       *rate.Limiter // nil for none
	buffers     sync.Pool

	mu    sync.Mutex
	swept map[string]struct{}
}

// New opens a sink at the configured path, or else at the server's directories.
func New(server sdk.Server, config *Config) (*Sink, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, err
	}
	place, elsewhere := config.Path, map[string]string(nil)
	if place == "" {
		place, elsewhere = server.Directory, server.Elsewhere
	}
	if !filepath.IsAbs(place) {
		return nil, sdk.Errorf(sdk.Invalid, "sink posix: %q is not an absolute path: set path, or the server's directory", place)
	}
	s := &Sink{unpack: config.Unpack, reuse: config.Reuse, volatile: !config.fsync(), swept: map[string]struct{}{}}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	if config.BandwidthLimit > 0 {
		s.limit = rate.NewLimiter(rate.Limit(config.BandwidthLimit), bufferSize)
	}
	var err error
	if s.temporaries, err = newTemporaries(); err != nil {
		return nil, err
	}
	if s.tree, err = openTree(filepath.Clean(place), elsewhere); err != nil {
		return nil, err
	}
	if s.commits, err = newCommitter(s.tree, s.volatile); err != nil {
		return nil, errors.Join(err, s.close())
	}
	for _, name := range config.prefixes() {
		m, err := openMount(name, filepath.Clean(config.Mounts[name]), s.volatile)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.mounts = append(s.mounts, m)
	}
	return s, nil
}

// close gives the descriptors back.
func (s *Sink) close() error {
	err := s.tree.close()
	for _, m := range s.mounts {
		err = errors.Join(err, m.tree.close())
	}
	return err
}

// Put stores an object, or unpacks it. See sdk.Sink.
func (s *Sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if !sdk.ValidName(o.Name) {
		return sdk.Receipt{}, sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", o.Name)
	}
	if isTemporary(path.Base(o.Name)) {
		return sdk.Receipt{}, sdk.Errorf(sdk.Invalid, "%q is the name of a temporary file", o.Name)
	}
	if err := ctx.Err(); err != nil {
		return sdk.Receipt{}, err
	}
	if s.limit != nil && r != nil {
		r = &limited{ctx: ctx, r: r, limit: s.limit}
	}
	if s.unpack {
		return s.restore(ctx, o, r)
	}
	return s.store(ctx, o, r)
}

// Flush makes everything put before durable, and visible.
func (s *Sink) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, m := range s.mounts {
		if err := m.commits.flush(); err != nil {
			return err
		}
	}
	if err := s.commits.flush(); err != nil || len(s.mounts) == 0 {
		return err
	}
	for _, m := range s.mounts {
		if err := s.link(m); err != nil {
			return err
		}
	}
	return s.commits.flush()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// measured counts and sums what is read, and stops when ctx ends.
type measured struct {
	ctx  context.Context
	r    io.Reader
	size int64
	sum  uint32
}

func (m *measured) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.size += int64(n)
	m.sum = crc32.Update(m.sum, castagnoli, p[:n])
	return n, err
}

func (m *measured) receipt(name string) sdk.Receipt {
	return sdk.Receipt{Name: name, Size: m.size, CRC32C: m.sum}
}

// limited reads no faster than a limit that all readers of a sink share.
type limited struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), bufferSize)])
	if waited := l.limit.WaitN(l.ctx, n); waited != nil {
		return n, waited
	}
	return n, err
}

// sweepOnce removes leftovers from a directory at its first use.
func (s *Sink) sweepOnce(name string, fd int) {
	s.mu.Lock()
	_, done := s.swept[name]
	if !done && len(s.swept) < maxSwept {
		s.swept[name] = struct{}{}
	} else {
		done = true
	}
	s.mu.Unlock()
	if !done {
		s.temporaries.sweep(fd)
	}
}

// markSwept records that a directory is new, and so has no leftovers.
func (s *Sink) markSwept(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.swept) < maxSwept {
		s.swept[name] = struct{}{}
	}
}

// exists tells whether there is something under a name, a link included.
func (t *tree) exists(name string) (bool, error) {
	err := t.with(name, reach{}, func(fd int, base string) error {
		var s unix.Stat_t
		return unix.Fstatat(fd, base, &s, unix.AT_SYMLINK_NOFOLLOW)
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, t.fault("look for", name, err)
}
