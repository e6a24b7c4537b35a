package walrestore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// State is what the PostgreSQL of a data directory is doing, by the files that
// tell it to (PostgreSQL manual, section 20.5.4).
type State int

const (
	// Elsewhere: this is no data directory that is being recovered.
	Elsewhere State = iota
	// Standby: what cannot be had now is asked for again.
	Standby
	// Hidden: this user may not look into the directory. Through sudo PostgreSQL's
	// is that of another.
	Hidden
	// ArchiveRecovery: what cannot be had is the end of the archive, where
	// PostgreSQL ends recovery and becomes a server of its own.
	ArchiveRecovery
)

// StateOf looks at a data directory. PostgreSQL runs restore_command in its own.
func StateOf(directory string) State {
	var hidden bool
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(directory, name))
		hidden = hidden || errors.Is(err, fs.ErrPermission)
		return err == nil
	}
	switch {
	case !has("PG_VERSION") && hidden:
		return Hidden
	case !has("PG_VERSION"):
		return Elsewhere
	case has("standby.signal"):
		return Standby
	case has("recovery.signal"):
		return ArchiveRecovery
	}
	return stateBefore12(filepath.Join(directory, "recovery.conf"))
}

var standbyMode = regexp.MustCompile(`(?i)^\s*standby_mode\s*=?\s*'?(on|true|tru|tr|t|yes|ye|y|1)'?\s*(#.*)?$`)

// stateBefore12 reads the file that PostgreSQL 11 and older are told by.
func stateBefore12(path string) State {
	f, err := os.Open(path)
	if err != nil {
		return Elsewhere
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if standbyMode.MatchString(lines.Text()) {
			return Standby
		}
	}
	return ArchiveRecovery
}

// systemID reads the cluster's system identifier, the first eight bytes of its
// control file (ControlFileData in PostgreSQL's catalog/pg_control.h); 0 if this is
// no data directory.
func systemID(directory string) uint64 {
	f, err := os.Open(filepath.Join(directory, "global", "pg_control"))
	if err != nil {
		return 0
	}
	defer f.Close()
	var id uint64
	if binary.Read(f, binary.NativeEndian, &id) != nil {
		return 0
	}
	return id
}
