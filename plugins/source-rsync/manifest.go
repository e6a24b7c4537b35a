package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/datadir"
	"github.com/barman-go/barman/sdk/manifest"
)

const (
	// firstWithSystemID is the first version whose manifests name the cluster.
	firstWithSystemID = 17
	// readAhead is how many files may be on their way to the manifest at once.
	readAhead = 256
	readSize  = 256 << 10
)

// listed is a file on its way to the manifest, whose lines are in the order of the
// walk.
type listed struct {
	file manifest.File
	info fs.FileInfo
	done chan error // receives when the checksum is there
}

// manifest writes the backup's manifest from what has landed. A file that is the
// very one of the backup before, linked to, has the checksum that it had there: it
// is not read again, and damage since then is not made good.
func (c *copying) manifest(ctx context.Context, result sdk.BackupResult) error {
	identifier := ""
	if c.server.Major >= firstWithSystemID {
		identifier = result.SystemID
	}
	out, err := os.OpenFile(filepath.Join(c.target, "data", datadir.Manifest), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = c.writeManifest(ctx, out, identifier, manifest.WALRange{Timeline: result.Timeline, Start: result.BeginLSN, End: result.EndLSN})
	return errors.Join(err, out.Close())
}

func (c *copying) writeManifest(ctx context.Context, out io.Writer, identifier string, wal manifest.WALRange) error {
	w, err := manifest.NewWriter(out, identifier)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	sums, _ := errgroup.WithContext(ctx)
	sums.SetLimit(runtime.GOMAXPROCS(0))
	queue := make(chan *listed, readAhead)
	group.Go(func() error {
		defer close(queue)
		known := c.knownSums()
		defer known.close()
		err := c.walk(ctx, func(name, file string, info fs.FileInfo) error {
			l := &listed{file: manifest.File{Path: name, Size: info.Size(), Algorithm: manifest.CRC32C}, info: info, done: make(chan error, 1)}
			if sum, found := known.of(name, info); found {
				l.file.Checksum = sum
				l.done <- nil
			} else {
				sums.Go(func() error { l.done <- l.sum(file); return nil })
			}
			select {
			case queue <- l:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		return errors.Join(err, sums.Wait())
	})
	group.Go(func() error {
		for l := range queue {
			if err := <-l.done; err != nil {
				return err
			}
			if err := w.Add(l.file, l.info.ModTime()); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return w.Close([]manifest.WALRange{wal})
}

// sum reads a file.
func (l *listed) sum(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read from
	sum := l.file.Algorithm.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, make([]byte, min(readSize, max(1, l.file.Size))))
	if err == nil && n != l.file.Size {
		err = sdk.Errorf(sdk.Corrupt, "%s changed while it was read", name)
	}
	l.file.Checksum = sum.Sum(nil)
	return err
}

// walk calls each for every file that has landed, with its name in a manifest.
func (c *copying) walk(ctx context.Context, each func(name, file string, info fs.FileInfo) error) error {
	visit := func(root, prefix string) error {
		return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			name := path.Join(prefix, strings.TrimPrefix(file, root+"/"))
			if name == datadir.Manifest {
				return nil
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			return each(name, file, info)
		})
	}
	if err := visit(filepath.Join(c.target, "data"), ""); err != nil {
		return err
	}
	for _, t := range c.server.Tablespaces {
		oid := strconv.FormatUint(uint64(t.OID), 10)
		if err := visit(filepath.Join(c.target, oid), "pg_tblspc/"+oid); err != nil {
			return err
		}
	}
	return nil
}

// knownSums are the checksums of the backup before, read along with the walk: its
// manifest has the same order, or else files are read again.
type knownSums struct {
	files   chan manifest.File
	stop    chan struct{}
	next    *manifest.File
	earlier string
}

var errEnough = errors.New("no more is wanted")

func (c *copying) knownSums() *knownSums {
	k := &knownSums{files: make(chan manifest.File, readAhead), stop: make(chan struct{}), earlier: c.earlier}
	go func() {
		defer close(k.files)
		if c.earlier == "" || c.reuse != reuseLink {
			return
		}
		f, err := os.Open(filepath.Join(c.earlier, "data", datadir.Manifest))
		if err != nil {
			return // it has none
		}
		defer f.Close() // it was only read from
		_, err = manifest.Read(f, func(file manifest.File) error {
			select {
			case k.files <- file:
				return nil
			case <-k.stop:
				return errEnough
			}
		})
		if err != nil && !errors.Is(err, errEnough) {
			c.logger.Warn("the manifest of the backup before is not used", "error", err)
		}
	}()
	return k
}

func (k *knownSums) close() {
	close(k.stop)
	for range k.files { // until the reader has gone
	}
}

// of returns the checksum of a file that is linked to the backup before.
func (k *knownSums) of(name string, info fs.FileInfo) ([]byte, bool) {
	for k.next == nil || before(k.next.Path, name) {
		file, more := <-k.files
		if !more {
			return nil, false
		}
		k.next = &file
	}
	if k.next.Path != name || k.next.Size != info.Size() || k.next.Algorithm != manifest.CRC32C {
		return nil, false
	}
	place := filepath.Join("data", name)
	if rest, found := strings.CutPrefix(name, "pg_tblspc/"); found {
		place = rest
	}
	there, err := os.Lstat(filepath.Join(k.earlier, place))
	return k.next.Checksum, err == nil && os.SameFile(there, info)
}

// before tells whether the walk comes to a before b: component by component.
func before(a, b string) bool {
	inTablespace := func(name string) bool { return strings.HasPrefix(name, "pg_tblspc/") }
	if inTablespace(a) != inTablespace(b) {
		return !inTablespace(a)
	}
	for a != "" && b != "" {
		var ca, cb string
		ca, a, _ = strings.Cut(a, "/")
		cb, b, _ = strings.Cut(b, "/")
		if ca != cb {
			return ca < cb
		}
	}
	return a == "" && b != ""
}
