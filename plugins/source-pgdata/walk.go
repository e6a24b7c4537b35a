package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/datadir"
)

// tree is a directory that is backed up: the data directory, or a tablespace.
type tree struct {
	oid  uint32
	root string
	// leaves out what is no part of a backup.
	list interface{ Excludes(name string) bool }
	// later are files that are not emitted in passing.
	later []string
}

// walker finds what is in the trees. It keeps the names of one directory on each
// level in memory, no more.
type walker struct {
	logger hclog.Logger
	take   func(*member) error
}

// walk visits a tree, a directory before what is in it.
func (w *walker) walk(ctx context.Context, t tree) error {
	info, err := os.Stat(t.root)
	if err != nil {
		return unreadable(err)
	}
	if err := w.take(&member{oid: t.oid, name: ".", path: t.root, dir: true, mode: info.Mode().Perm(), modified: info.ModTime()}); err != nil {
		return err
	}
	return w.directory(ctx, t, "")
}

func (w *walker) directory(ctx context.Context, t tree, name string) error {
	names, err := namesIn(filepath.Join(t.root, name))
	if errors.Is(err, fs.ErrNotExist) && name != "" {
		return nil // a database was dropped
	}
	if err != nil {
		return unreadable(err)
	}
	var unlogged map[string]bool
	if holdsRelations.MatchString(path.Join("/", name)) {
		unlogged = datadir.Unlogged(names)
	}
	for _, base := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if child := path.Join(name, base); !unlogged[base] && !t.list.Excludes(child) && !slices.Contains(t.later, child) {
			if err := w.entry(ctx, t, child); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsRelations matches the directories of databases: base/5 in the data
// directory, PG_15_202209061/5 in a tablespace.
var holdsRelations = regexp.MustCompile(`^/(base|PG_[^/]+)/[0-9]+$`)

func (w *walker) entry(ctx context.Context, t tree, name string) error {
	if !sdk.ValidName(name) {
		w.logger.Warn("a file is left out: its name is not UTF-8 or has control characters", "directory", t.root, "file", name)
		return nil
	}
	m := &member{oid: t.oid, name: name, path: filepath.Join(t.root, name)}
	info, err := os.Lstat(m.path)
	linked := err == nil && info.Mode()&fs.ModeSymlink != 0
	if linked {
		info, err = os.Stat(m.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	m.mode, m.modified, m.size = info.Mode().Perm(), info.ModTime(), info.Size()
	switch {
	case info.Mode().IsRegular():
		// A link to a file, a configuration file for instance, becomes the file.
		return w.take(m)
	case info.IsDir() && !linked:
		m.dir = true
		if err := w.take(m); err != nil {
			return err
		}
		return w.directory(ctx, t, name)
	case info.IsDir() && name == walDirectory:
		m.dir = true // it is elsewhere, and a recovered server wants one
		return w.take(m)
	case info.IsDir():
		w.logger.Warn("a link to a directory is left out, with what is in the directory", "link", m.path)
	}
	return nil
}

// walDirectory is that of the server's WAL.
const walDirectory = "pg_wal"

func namesIn(directory string) ([]string, error) {
	f, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, f.Close())
}
