package recovery

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// A recovery that was interrupted goes on with the files that it left. None of
// them is trusted: plain files count as restored when their size and checksum
// are those that were noted when the backup was taken; all others, and those in
// tar files, are compared with what comes out of the store, and only what
// differs is written. What belongs to no file of the backup is removed.

const (
	// recoverInfo is the backup's backup.info in what was restored from it.
	recoverInfo = ".barman-recover.info"
	// versionFile is in every data directory.
	versionFile = "PG_VERSION"
	// reviseBatch is how many objects are looked at before what is missing of them is
	// restored.
	reviseBatch = 4096
)

// Kept are files that were there before and did not have to be written again.
type Kept struct{ Files, Bytes int64 }

// mark is the same for recoveries that can go on with each other's files.
func (r *run) mark() (string, error) {
	b := r.request.Backup
	text, err := json.Marshal([]any{r.server.Name(), b.ID, b.SystemID, b.BeginLSN.String(), b.EndLSN.String(), r.mounts, r.request.RecoveryFile})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return string(b.ID) + " " + hex.EncodeToString(sum[:8]), nil
}

// tidy removes what recovery itself adds to a backup's files, or changes in them,
// and the links to tablespaces, which are made anew.
func (r *run) tidy() error {
	root := r.request.Destination
	for _, name := range []string{
		stagingDirectory, stored.ManifestName + "." + string(r.request.Backup.ID), recoverySignal, standbySignal, recoveryConf,
		postgresConf, postgresConf + originSuffix, autoConf, autoConf + originSuffix, "pg_wal", "pg_xlog", "tablespace_map",
	} {
		if err := r.host.RemoveAll(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if file := r.request.RecoveryFile; file != "" {
		for _, name := range []string{file, file + originSuffix} {
			if err := r.host.RemoveAll(filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	links, err := r.host.ReadDir(filepath.Join(root, "pg_tblspc"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Type == fs.ModeSymlink {
			if err := r.host.Remove(filepath.Join(root, "pg_tblspc", link.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reviser brings a destination that holds plain files to what the backup holds.
type reviser struct {
	run   *run
	line  pipeline.Line
	form  stored.Form
	known *receipts
	seed  maphash.Seed
	// belongs are the hashes of all names in the backup, and of those above them.
	belongs map[uint64]struct{}
	passed  map[string]bool // directories that are known to be some
	// there is what is on the other host, if it is another.
	there *listing
}

func (r *run) revise(ctx context.Context, line pipeline.Line, form stored.Form, known *receipts, observe pipeline.Observer) error {
	v := &reviser{run: r, line: line, form: form, known: known, seed: maphash.MakeSeed(), belongs: map[uint64]struct{}{}, passed: map[string]bool{}}
	if r.host.Remote() != "" {
		var err error
		if v.there, err = r.list(ctx); err != nil {
			return err
		}
	}
	store, err := r.server.Engine.OpenSink(ctx, line.Server, line.Sinks[0])
	if err != nil {
		return err
	}
	defer store.Close()
	batch := make([]wanted, 0, reviseBatch)
	for _, s := range form.Selections {
		for object, err := range store.List(ctx, s.Name) {
			if err != nil {
				return err
			}
			if object.Kind == sdk.KindSymlink {
				continue // the sink that restores refuses it, or puts its own there
			}
			name := s.Rename + strings.TrimPrefix(object.Name, s.Name)
			batch = append(batch, wanted{host.Selection{Name: object.Name, Rename: name}, object})
			if len(batch) == reviseBatch {
				if err := v.restore(ctx, batch, observe); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	if err := v.restore(ctx, batch, observe); err != nil {
		return err
	}
	if v.there != nil {
		r.report.Kept.Files, r.report.Kept.Bytes = r.report.Kept.Files+v.there.kept.Files, r.report.Kept.Bytes+v.there.kept.Bytes
		if err := r.sendLinks(ctx); err != nil {
			return err
		}
	}
	return v.removeStrangers(ctx)
}

// wanted is an object that is to be in the destination.
type wanted struct {
	host.Selection
	object sdk.Object
}

// restored is the name that an object gets in the destination.
func (v *reviser) restored(name string) string { return strings.TrimSuffix(name, v.form.Suffix) }

// place is where a name of the backup is in the file system: a destination, and
// the path below it.
func (r *run) place(name string) (root, below string) {
	for mount, location := range r.mounts {
		if name == mount {
			return location, "."
		}
		if rest, ok := strings.CutPrefix(name, mount+"/"); ok {
			return location, rest
		}
	}
	return r.request.Destination, name
}

// restore restores what is not there yet of some objects.
func (v *reviser) restore(ctx context.Context, batch []wanted, observe pipeline.Observer) error {
	complete := make([]bool, len(batch))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, v.line.Lanes))
	for i, s := range batch {
		name := v.restored(s.Rename)
		v.belong(name)
		if v.there != nil {
			var err error
			if complete[i], err = v.holds(s, name); err != nil {
				return err
			}
			continue
		}
		root, below := v.run.place(name)
		if err := v.clearWay(root, below); err != nil {
			return err
		}
		if v.known == nil || path.Base(name) == versionFile { // one object at least is restored, and makes the links
			continue
		}
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			var err error
			complete[i], err = v.known.holds(s.Name, filepath.Join(root, below))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var missing []host.Selection
	for i, s := range batch {
		switch {
		case !complete[i]:
			missing = append(missing, s.Selection)
		case v.known != nil:
			v.known.skip(s.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if v.there != nil {
		return v.run.sendFiles(ctx, v.line, missing, observe)
	}
	return v.run.server.Engine.Restore(ctx, v.line, missing, v.run.target(), observe)
}

// belong notes a name of the backup.
func (v *reviser) belong(name string) {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		hash := maphash.String(v.seed, name)
		if _, known := v.belongs[hash]; known {
			return
		}
		v.belongs[hash] = struct{}{}
	}
}

// clearWay removes what stands where a name, or a directory above it, has to be.
// Of what is there only a regular file may stay under the name itself, or a
// directory.
func (v *reviser) clearWay(root, below string) error {
	if dir := path.Dir(below); dir != "." && dir != "/" && !v.passed[filepath.Join(root, dir)] {
		if err := v.clearWay(root, dir); err != nil {
			return err
		}
		at := filepath.Join(root, dir)
		if info, err := os.Lstat(at); err == nil && !info.IsDir() {
			if err := os.Remove(at); err != nil {
				return err
			}
		}
		v.passed[at] = true
	}
	at := filepath.Join(root, below)
	info, err := os.Lstat(at)
	if err != nil || info.IsDir() || info.Mode().IsRegular() {
		return nil
	}
	return os.Remove(at)
}

// removeStrangers removes what is in the destination and not in the backup.
func (v *reviser) removeStrangers(ctx context.Context) error {
	for _, d := range v.run.destinations() {
		if d.wal {
			continue
		}
		prefix := ""
		for mount, location := range v.run.mounts {
			if location == d.path {
				prefix = mount
			}
		}
		if err := v.removeFrom(ctx, d, prefix); err != nil {
			return sdk.Errorf(cmp.Or(sdk.KindOf(err), sdk.Denied), "remove what does not belong to the backup: %w", err)
		}
	}
	return nil
}

func (v *reviser) removeFrom(ctx context.Context, d destination, prefix string) error {
	gone := "" // the directory that was removed last
	for found, err := range d.host.Walk(ctx, d.path) {
		if err != nil {
			return err
		}
		below := found.Name
		if path.Dir(below) == "." && (below == pidFile || hostfs.Temporary(below, pidFile) || theirs(below)) || gone != "" && within(below, gone) {
			continue
		}
		name := path.Join(prefix, below)
		if _, known := v.belongs[maphash.String(v.seed, name)]; known {
			continue
		}
		if _, mounted := v.run.mounts[name]; mounted {
			continue
		}
		at := filepath.Join(d.path, below)
		if err := d.host.RemoveAll(at); err != nil {
			return err
		}
		if err := d.host.SyncDirectory(filepath.Dir(at)); err != nil {
			return err
		}
		gone = below
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// holds tells whether a file has the content that an object of the backup had
// when it was taken.
func (c *receipts) holds(object, file string) (bool, error) {
	want, known := c.content[maphash.String(c.seed, object)]
	if !known {
		return false, nil
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, nil // it is restored, which says what is wrong with it
	}
	defer f.Close() // it was only read from
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != want.size || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		return false, err
	}
	// What could not be written out may still look as if it had been: it has to come
	// from the device.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	sum := crc32.New(castagnoli)
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
		return false, nil // unreadable: it is written again
	}
	return sum.Sum32() == want.crc32c, nil
}

// skip expects an object no more: it is there already.
func (c *receipts) skip(object string) { delete(c.expected, maphash.String(c.seed, object)) }

// syncAll makes all that is in the file systems of the destinations durable:
// what was not written by this process, too.
func syncAll(all []destination) error {
	for _, d := range all {
		if err := d.host.Sync(d.path); err != nil {
			return sdk.Errorf(cmp.Or(sdk.KindOf(err), sdk.Denied), "destination: make %s durable: %w", d.path, err)
		}
	}
	return nil
}

// kept counts the files that nobody has changed since a moment.
func kept(ctx context.Context, all []destination, since time.Time) (k Kept, err error) {
	for _, d := range all {
		for found, err := range d.host.Walk(ctx, d.path) {
			if err != nil {
				return Kept{}, err
			}
			if found.Type == 0 && found.Changed.Before(since) {
				k.Files++
				k.Bytes += found.Size
			}
		}
	}
	return k, nil
}
