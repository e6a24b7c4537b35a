package verify

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/manifest"
)

// Generated tells of a manifest that was made.
type Generated struct {
	// Path is where it is.
	Path string
	// Files and Bytes are what it lists.
	Files, Bytes int64
	// Warnings are worth knowing.
	Warnings []string
}

// manifestMode is that of the file.
const manifestMode = 0o600

// versionWithSystemID is the first of PostgreSQL whose manifests have a system
// identifier.
const versionWithSystemID = 170000

// GenerateManifest makes the manifest of a backup of plain files on this machine
// from what its files are now, with SHA-256 checksums, and notes it in the
// receipts, if the backup has any. tell is told of the progress; it may be nil.
//
// Nothing is visible before it is complete and durable. Errors: Exists when the
// backup has a manifest, Invalid when it is not complete or not of plain files,
// Busy while somebody else works on it.
func GenerateManifest(ctx context.Context, s *server.Server, b *catalogue.Backup, tell func(pipeline.Progress)) (result Generated, err error) {
	if err := verifiable(b); err != nil {
		return Generated{}, err
	}
	lock, err := s.Catalogue.Lock(string(b.ID))
	if err != nil {
		return Generated{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if b, err = s.Catalogue.Get(b.ID); err != nil {
		return Generated{}, err
	}
	g, err := newGeneration(s, b, tell)
	if err == nil {
		err = g.write(ctx)
	}
	if err != nil {
		return Generated{}, fmt.Errorf("manifest of backup %s of server %s: %w", b.ID, s.Name(), err)
	}
	result = Generated{Path: g.path, Files: g.files, Bytes: g.bytes.Load()}
	if g.links.count > 0 {
		result.Warnings = []string{g.links.String()}
	}
	return result, nil
}

// generation is one manifest on its way.
type generation struct {
	server *server.Server
	backup *catalogue.Backup
	data   string
	path   string
	tell   func(pipeline.Progress)
	links  links
	bytes  atomic.Int64

	mu    sync.Mutex // protects what follows
	out   *manifest.Writer
	files int64
}

func newGeneration(s *server.Server, b *catalogue.Backup, tell func(pipeline.Progress)) (*generation, error) {
	data, err := s.Catalogue.DataDirectory(b.ID)
	if err != nil {
		return nil, err
	}
	g := &generation{server: s, backup: b, data: data, path: filepath.Join(data, stored.ManifestName), tell: tell}
	info, err := os.Lstat(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, sdk.Errorf(sdk.Invalid, "it is not stored as plain files in %s: a manifest can only be made of those (tar files, compressed or "+
			"encrypted files and those in another store have the manifest that PostgreSQL made, or barman's receipts)", data)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	if err := durable.Taken(g.path); err != nil {
		return nil, g.exists(err)
	}
	return g, nil
}

// exists gives the error of a manifest that is there its kind.
func (g *generation) exists(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return sdk.Errorf(sdk.Exists, "%s exists already: 'barman verify-backup %s %s' holds the backup against it", g.path, g.server.Name(), g.backup.ID)
	}
	return err
}

// write writes the manifest, then the receipts. If that is not reached the
// manifest is a file more that the backup did not store, which does no harm.
func (g *generation) write(ctx context.Context) error {
	file, err := durable.NewReplacement(g.path, manifestMode)
	if err != nil {
		return unreadable(err)
	}
	made := &written{}
	if err := g.fill(ctx, io.MultiWriter(file, made)); err != nil {
		return errors.Join(err, file.Abort())
	}
	if err := file.CommitNew(); errors.Is(err, fs.ErrExist) {
		return errors.Join(g.exists(err), file.Abort())
	} else if err != nil {
		return err
	}
	return g.note(made)
}

// written remembers size and CRC-32C of what is written.
type written struct {
	size int64
	crc  uint32
}

func (w *written) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	w.crc = crc32.Update(w.crc, castagnoli, p)
	return len(p), nil
}

// fill lists all files in the order in which they are done.
func (g *generation) fill(ctx context.Context, w io.Writer) error {
	systemID := ""
	if g.backup.Version >= versionWithSystemID {
		systemID = g.backup.SystemID
	}
	var err error
	if g.out, err = manifest.NewWriter(w, systemID); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, min(8, runtime.GOMAXPROCS(0))))
	err = g.list(ctx, group)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	var ranges []manifest.WALRange
	if b := g.backup; b.Timeline != 0 && b.BeginLSN != 0 && b.EndLSN >= b.BeginLSN {
		ranges = append(ranges, manifest.WALRange{Timeline: b.Timeline, Start: b.BeginLSN, End: b.EndLSN})
	}
	return g.out.Close(ranges)
}

func (g *generation) list(ctx context.Context, group *errgroup.Group) error {
	for _, p := range places(g.server, g.backup, g.data) {
		err := p.walk(ctx, "", func(below string, entry fs.DirEntry) error {
			path := p.path + below
			switch {
			case entry.IsDir(), isUnfinished(path), path == "pg_wal", strings.HasPrefix(path, "pg_wal/"), isTablespaceLink(g.backup, path):
			case entry.Type().IsRegular():
				group.Go(func() error { return g.add(ctx, path, filepath.Join(p.directory, below)) })
			case entry.Type() == fs.ModeSymlink:
				g.links.add(path)
			default:
				return sdk.Errorf(sdk.Invalid, "%s is no regular file (%s), which no manifest can list: move it away", filepath.Join(p.directory, below), entry.Type())
			}
			return nil
		})
		if err != nil {
			return unreadable(err)
		}
	}
	return nil
}

// add lists one file.
func (g *generation) add(ctx context.Context, path, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close() // it was only read from
	info, err := file.Stat()
	if err != nil {
		return err
	}
	advise(file, info.Size())
	sum := manifest.SHA256.New()
	var c checker
	size, _, _, err := c.read(ctx, file, sdk.SizeUnknown, sum)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.files++
	if total := g.bytes.Add(size); g.tell != nil {
		g.tell(pipeline.Progress{Objects: g.files, Bytes: total})
	}
	return g.out.Add(manifest.File{Path: path, Size: size, Algorithm: manifest.SHA256, Checksum: sum.Sum(nil)}, info.ModTime().Truncate(time.Second))
}

// note puts the manifest into the receipts, in place of an earlier one that was
// removed, so that a recovery knows it.
func (g *generation) note(m *written) error {
	c := g.server.Catalogue
	header, objects, err := c.Receipts(g.backup.ID)
	if sdk.KindOf(err) == sdk.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	w, err := c.NewReceipts(g.backup.ID, header)
	if err != nil {
		return err
	}
	name := "base/" + string(g.backup.ID) + "/" + filepath.Base(g.data) + "/" + stored.ManifestName
	for o, err := range objects {
		if err == nil && o.Name != name {
			err = w.Add(o)
		}
		if err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	sum := catalogue.Checksum(m.crc)
	if err := w.Add(catalogue.ObjectReceipt{Name: name, Size: m.size, CRC32C: sum, StoredSize: m.size, StoredCRC32C: sum}); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit()
}
