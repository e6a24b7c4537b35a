package recovery

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// refuseUnprintable refuses paths with line breaks and the like, which the files
// that PostgreSQL keeps paths in cannot hold.
func refuseUnprintable(request Request) error {
	given := map[string]string{"destination": request.Destination, "staging WAL directory": request.StagingWAL}
	for name, location := range request.Tablespaces {
		given["tablespace "+name] = location
	}
	for what, path := range given {
		if strings.ContainsFunc(path, unprintable) {
			return sdk.Errorf(sdk.Invalid, "%s %q: a path with a line break or another control character is of no use to PostgreSQL: give another one", what, path)
		}
	}
	return nil
}

// placeTablespaces decides where each tablespace goes.
func (r *run) placeTablespaces() error {
	left := map[string]string{}
	for name, location := range r.request.Tablespaces {
		left[name] = location
	}
	taken := []string{r.request.Destination}
	if err := r.apart("destination", r.request.Destination, nil); err != nil {
		return err
	}
	for _, t := range r.request.Backup.Tablespaces {
		location := t.Location
		if moved, ok := left[t.Name]; ok {
			location = moved
			delete(left, t.Name)
		}
		if !filepath.IsAbs(location) {
			return sdk.Errorf(sdk.Invalid, "tablespace %s: %q is not an absolute path", t.Name, location)
		}
		location, err := r.host.Resolve(location)
		if err != nil {
			return err
		}
		if err := r.apart("tablespace "+t.Name, location, taken); err != nil {
			return err
		}
		taken = append(taken, location)
		r.mounts[fmt.Sprintf("pg_tblspc/%d", t.OID)] = location
		r.report.Tablespaces[t.Name] = location
	}
	for name := range left {
		return sdk.Errorf(sdk.Invalid, "backup %s has no tablespace %q%s", r.request.Backup.ID, name, r.tablespaceNames())
	}
	return r.placeWAL(taken)
}

// apart refuses to write where the server's backups and WAL are, or where
// something else of the recovery goes.
func (r *run) apart(what, path string, taken []string) error {
	for _, own := range r.ownDirectories() {
		if overlap(path, own) {
			return sdk.Errorf(sdk.Invalid, "%s: %s overlaps %s, where barman keeps backups and WAL of this server", what, path, own)
		}
	}
	for _, other := range taken {
		if overlap(path, other) {
			return sdk.Errorf(sdk.Invalid, "%s: %s and %s overlap", what, path, other)
		}
	}
	return nil
}

// ownDirectories are those of the server's catalogue, on the host where it is.
func (r *run) ownDirectories() []string {
	if r.host.Remote() != "" {
		return nil
	}
	if r.server == nil {
		return nil // it comes out of a bucket
	}
	layout := r.server.Catalogue.Layout()
	var own []string
	for _, path := range []string{
		layout.BackupDirectory, layout.BasebackupsDirectory, layout.WALsDirectory, layout.IncomingDirectory, layout.StreamingDirectory,
	} {
		if resolved, err := r.host.Resolve(path); err == nil {
			own = append(own, resolved)
		}
	}
	return own
}

func overlap(a, b string) bool { return within(a, b) || within(b, a) }

// tablespaceNames tells which there are.
func (r *run) tablespaceNames() string {
	var names []string
	for _, t := range r.request.Backup.Tablespaces {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		return ": it has none"
	}
	return ": it has " + strings.Join(names, ", ")
}

// placeWAL checks where WAL is to wait.
func (r *run) placeWAL(taken []string) error {
	if r.request.StagingWAL == "" {
		return nil
	}
	if !filepath.IsAbs(r.request.StagingWAL) {
		return sdk.Errorf(sdk.Invalid, "staging WAL directory %q: give an absolute path", r.request.StagingWAL)
	}
	directory, err := r.host.Resolve(r.request.StagingWAL)
	if err != nil {
		return err
	}
	if err := r.apart("staging WAL directory", directory, taken); err != nil {
		return err
	}
	r.request.StagingWAL = directory
	return nil
}

// stagesElsewhere tells whether WAL waits outside of the data directory.
func (r *run) stagesElsewhere() bool {
	return r.request.StagingWAL != "" && r.request.GetWAL == nil && !r.request.Standby
}

// within reports whether path is root or lies below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}

// destinations are all directories that are written to, the data directory
// first.
func (r *run) destinations() []destination {
	all := []destination{{host: r.host, path: r.request.Destination}}
	for _, location := range r.mounts {
		all = append(all, destination{host: r.host, path: location})
	}
	if r.stagesElsewhere() {
		all = append(all, destination{host: r.host, path: r.request.StagingWAL, wal: true})
	}
	return all
}
