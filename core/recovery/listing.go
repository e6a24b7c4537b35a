package recovery

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// On another host no file is read to be compared: it counts as restored when its
// size and its time of modification are those of the backup's, as for rsync. Files
// that may have been written while a backup was taken are sent in any case: two
// states of them can have the same time.

// clockMargin is added to the time of a backup, because times of modification are
// compared by whole seconds.
const clockMargin = 2 * time.Second

// listing is what is in the destinations on another host, by the hash of the name
// that it has in the backup.
type listing struct {
	seed  maphash.Seed
	files map[uint64]listed
	// horizon is when the first of the backups concerned began.
	horizon int64
	kept    Kept
}

// listed is one file: its size, or what else it is.
type listed struct {
	size     int64
	modified int64 // in seconds
}

const (
	listedDirectory = -1
	listedOther     = -2
)

// list looks at the destinations.
func (r *run) list(ctx context.Context) (*listing, error) {
	l := &listing{seed: maphash.MakeSeed(), files: map[uint64]listed{}, horizon: r.request.Backup.BeginTime.Add(-clockMargin).Unix()}
	info, err := r.host.ReadFile(filepath.Join(r.request.Destination, recoverInfo), maxSettingsFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		before, err := catalogue.ParseInfo(r.request.Backup.ID, info)
		if err != nil || before.BeginTime.IsZero() {
			l.horizon = 0 // nothing is known of these files
		} else {
			l.horizon = min(l.horizon, before.BeginTime.Add(-clockMargin).Unix())
		}
	}
	prefixes := map[string]string{r.request.Destination: ""}
	for mount, location := range r.mounts {
		prefixes[location] = mount
	}
	for root, prefix := range prefixes {
		for found, err := range r.host.Walk(ctx, root) {
			if err != nil {
				return nil, err
			}
			f := listed{size: listedOther, modified: found.ModTime.Unix()}
			switch found.Type {
			case 0:
				f.size = found.Size
			case fs.ModeDir:
				f.size = listedDirectory
			}
			l.files[maphash.String(l.seed, path.Join(prefix, found.Name))] = f
		}
	}
	return l, nil
}

// holds tells whether an object is on the other host already, and otherwise makes
// room for it.
func (v *reviser) holds(w wanted, name string) (bool, error) {
	if err := v.clearRemote(name, w.object.Kind == sdk.KindDirectory); err != nil {
		return false, err
	}
	there, found := v.there.files[maphash.String(v.there.seed, name)]
	if !found {
		return false, nil
	}
	if w.object.Kind == sdk.KindDirectory {
		return true, nil // clearRemote left nothing else
	}
	size := w.object.Size
	if v.form.Suffix != "" {
		size = -1
	}
	if v.known != nil {
		if was, known := v.known.content[maphash.String(v.known.seed, w.Name)]; known {
			size = was.size
		}
	}
	same := size >= 0 && there.size == size && there.modified == w.object.ModTime.Unix() && there.modified < v.there.horizon
	if same {
		v.there.kept.Files++
		v.there.kept.Bytes += size
	}
	return same, nil
}

// clearRemote removes what stands where a name, or a directory above it, has to be.
func (v *reviser) clearRemote(name string, directory bool) error {
	if dir := path.Dir(name); dir != "." && !v.passed[dir] {
		if err := v.clearRemote(dir, true); err != nil {
			return err
		}
		v.passed[dir] = true
	}
	if _, mounted := v.run.mounts[name]; mounted {
		return nil // its link was taken away
	}
	key := maphash.String(v.there.seed, name)
	there, found := v.there.files[key]
	if !found || directory == (there.size == listedDirectory) && there.size != listedOther {
		return nil
	}
	delete(v.there.files, key)
	root, below := v.run.place(name)
	return v.run.host.RemoveAll(filepath.Join(root, below))
}

// sizes tells how long files were before transforms, by the names that they have
// after them.
func (c *receipts) sizes(suffix string) func(name string) (int64, bool) {
	return func(name string) (int64, bool) {
		was, known := c.content[maphash.String(c.seed, c.stored(name)+suffix)]
		return was.size, known
	}
}
