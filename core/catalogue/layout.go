package catalogue

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Layout tells where a server's files are. All paths are absolute.
type Layout struct {
	// Name is the server's name in the configuration.
	Name string
	// BackupDirectory holds identity.json and meta/, and by default all that follows.
	BackupDirectory string
	// BasebackupsDirectory holds a directory for each backup.
	BasebackupsDirectory string
	// WALsDirectory is the WAL archive.
	WALsDirectory string
	// XlogDBDirectory holds the index of the WAL archive in the form Barman 3.13
	// gave it, <name>-xlog.db; by default the WAL archive.
	XlogDBDirectory string
	// IncomingDirectory is where archive_command delivers WAL files.
	IncomingDirectory string
	// StreamingDirectory is where the WAL receiver writes.
	StreamingDirectory string
	// ErrorsDirectory keeps WAL files that could not be archived.
	ErrorsDirectory string
	// LockDirectory holds the lock files of all servers.
	LockDirectory string
	// WALElsewhere tells that the WAL archive is in a store elsewhere than in
	// WALsDirectory: its index is all that this machine knows of it.
	WALElsewhere bool
	// CustomMagic is how WAL files begin that a command of the user's compressed;
	// empty if that is not known.
	CustomMagic []byte
}

// Default fills what is not set: the server's directory is <home>/<name>, the
// others lie below it under their usual names, lock files are in home.
func (l Layout) Default(home, name string) Layout {
	orElse := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	orElse(&l.Name, name)
	orElse(&l.BackupDirectory, filepath.Join(home, l.Name))
	orElse(&l.BasebackupsDirectory, filepath.Join(l.BackupDirectory, BackupsFolder))
	orElse(&l.WALsDirectory, filepath.Join(l.BackupDirectory, WALFolder))
	orElse(&l.XlogDBDirectory, l.WALsDirectory)
	orElse(&l.IncomingDirectory, filepath.Join(l.BackupDirectory, "incoming"))
	orElse(&l.StreamingDirectory, filepath.Join(l.BackupDirectory, "streaming"))
	orElse(&l.ErrorsDirectory, filepath.Join(l.BackupDirectory, "errors"))
	orElse(&l.LockDirectory, home)
	return l
}

func (l Layout) directories() []string {
	return []string{l.BackupDirectory, l.BasebackupsDirectory, l.WALsDirectory, l.XlogDBDirectory,
		l.IncomingDirectory, l.StreamingDirectory, l.ErrorsDirectory, l.LockDirectory}
}

// Server is one server's catalogue. Its methods may be called from several
// goroutines, and several processes may use one catalogue.
type Server struct {
	layout  Layout
	indexed indexed
}

// Open checks the layout and touches no file: a server without directories is
// a server without backups. XlogDBDirectory may be left empty.
func Open(l Layout) (*Server, error) {
	if err := validServerName(l.Name); err != nil {
		return nil, err
	}
	if l.XlogDBDirectory == "" {
		l.XlogDBDirectory = l.WALsDirectory
	}
	for _, dir := range l.directories() {
		if !filepath.IsAbs(dir) || strings.ContainsRune(dir, 0) {
			return nil, sdk.Errorf(sdk.Invalid, "server %q: directory %q is not an absolute path", l.Name, dir)
		}
	}
	return &Server{layout: l}, nil
}

// validServerName accepts what can be part of a file name: the name appears in
// those of directories and lock files.
func validServerName(name string) error {
	switch {
	case name == "", name == ".", name == "..", len(name) > 200, strings.ContainsAny(name, "/\\"), hasControl(name):
		return sdk.Errorf(sdk.Invalid, "server name %q cannot be the name of a directory", clip(name))
	}
	return nil
}

// Layout returns where the server's files are.
func (s *Server) Layout() Layout { return s.layout }

// Name returns the server's name.
func (s *Server) Name() string { return s.layout.Name }

// CreateDirectories creates the directories that do not exist, readable by
// their owner alone. Calling it again is safe.
func (s *Server) CreateDirectories() error {
	for _, dir := range s.layout.directories() {
		if err := durable.MakeDirectory(dir); err != nil {
			return s.wrap(err)
		}
	}
	return nil
}

// wrap adds the server's name to an error and keeps its kind.
func (s *Server) wrap(err error) error {
	return sdk.Errorf(kindOf(err), "server %q: %w", s.layout.Name, err)
}

// errorf is sdk.Errorf with the server's name in front.
func (s *Server) errorf(kind sdk.ErrorKind, format string, args ...any) error {
	return s.wrap(sdk.Errorf(kind, format, args...))
}

// kindOf classifies what the operating system reports as well.
func kindOf(err error) sdk.ErrorKind {
	kind := sdk.KindOf(err)
	switch {
	case kind != sdk.Unknown:
		return kind
	case errors.Is(err, fs.ErrPermission):
		return sdk.Denied
	case errors.Is(err, fs.ErrNotExist):
		return sdk.NotFound
	}
	return sdk.Unknown
}
