package passive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	// primaryFile keeps what the primary said last.
	primaryFile = "primary.info"
	// positionFile keeps how far WAL has been copied, in the archive.
	positionFile = "sync-wals.info"
	// exitMissing is what a script ends with when a file is not there.
	exitMissing = 44
	// maxInfo bounds what a primary tells: a million WAL files take less.
	maxInfo = 512 << 20
	// stopTime is how long rsync may take to end when it is told to.
	stopTime = 5 * time.Second
	// ioTimeout is after how many seconds without a byte rsync gives up: when the
	// connection is silently lost nobody else would tell.
	ioTimeout = 600
)

// Primary is the Barman that a passive server is copied from.
type Primary struct {
	server *server.Server
	shell  remote.Shell
}

// Of is the primary of a server. One that is not passive is an error of kind
// Invalid.
func Of(s *server.Server) (Primary, error) {
	if !s.Config.Passive() {
		return Primary{}, sdk.Errorf(sdk.Invalid, "server %s is not passive", s.Name())
	}
	if backups, wals := s.BackupSinks(), s.WALSinks(); len(backups) != 1 || len(wals) != 1 || !backups[0].Home || !wals[0].Home {
		return Primary{}, sdk.Errorf(sdk.Invalid, "server %s is passive, and its sinks are others than the one in its own directory: what is copied from another Barman is stored as it is there", s.Name())
	}
	return Primary{server: s, shell: remote.Shell{Command: s.Config.PrimarySSHCommand}}, nil
}

// Reach makes sure that the primary can be reached, and nothing more.
func (p Primary) Reach(ctx context.Context) error { return p.shell.Execute(ctx, io.Discard, "true") }

// Told is what the primary tells, as it says it. A position that it does not
// know is an error of kind NotFound.
func (p Primary) Told(ctx context.Context, after Position) ([]byte, error) {
	command := []string{"barman"}
	if p.server.Config.ForwardConfigPath {
		path, err := filepath.Abs(p.server.ConfigurationPath())
		if err != nil {
			return nil, err
		}
		command = append(command, "-c", path)
	}
	command = append(command, "sync-info", p.server.Name())
	if after.Name != "" {
		command = append(command, after.Name)
		if after.Offset > 0 {
			command = append(command, strconv.FormatInt(after.Offset, 10))
		}
	}
	out := &bounded{}
	err := p.shell.Execute(ctx, out, command...)
	var failed *remote.Failed
	switch {
	case errors.As(err, &failed) && failed.Code == 1 && after.Name != "":
		return nil, sdk.Errorf(sdk.NotFound, "the primary of server %s: %w", p.server.Name(), err)
	case errors.As(err, &failed):
		return nil, sdk.Errorf(sdk.Unavailable, "the primary of server %s: %w", p.server.Name(), err)
	}
	return out.Bytes(), err
}

// bounded takes no more than a primary can have to say.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxInfo {
		return 0, sdk.Errorf(sdk.Corrupt, "the primary says more than %d bytes", maxInfo)
	}
	return b.Buffer.Write(p)
}

// Info asks the primary, and keeps what it says.
func (p Primary) Info(ctx context.Context, after Position) (Info, error) {
	told, err := p.Told(ctx, after)
	if err != nil {
		return Info{}, err
	}
	info, err := parseInfo(told)
	if err != nil {
		return Info{}, sdk.Errorf(sdk.Corrupt, "the primary of server %s: %w", p.server.Name(), err)
	}
	if err := p.server.Catalogue.CreateDirectories(); err != nil {
		return Info{}, err
	}
	return info, durable.WriteFile(filepath.Join(p.server.Catalogue.Layout().BackupDirectory, primaryFile), told, 0o600)
}

// parseInfo reads and checks what a primary says: names become paths here.
func parseInfo(told []byte) (Info, error) {
	var info Info
	if err := json.Unmarshal(told, &info); err != nil {
		return info, fmt.Errorf("what it says is no document of sync-info: %w", err)
	}
	for id := range info.Backups {
		if _, err := catalogue.ParseBackupID(id); err != nil {
			return info, fmt.Errorf("a backup: %w", err)
		}
	}
	for _, f := range info.WALs {
		if _, err := f.record(); err != nil {
			return info, fmt.Errorf("a WAL file: %w", err)
		}
	}
	if info.LastName != "" {
		if _, err := wal.ParseName(info.LastName); err != nil {
			return info, fmt.Errorf("the last WAL file: %w", err)
		}
	}
	for _, name := range []string{"basebackups_directory", "wals_directory"} {
		if !filepath.IsAbs(info.text(name)) {
			return info, fmt.Errorf("its configuration has no %s", name)
		}
	}
	return info, nil
}

// text is a setting of the primary.
func (i Info) text(name string) string {
	text, _ := i.Config[name].(string) // nothing else is of use
	return text
}

// record is the line of the index about a file.
func (f WALFile) record() (catalogue.WALRecord, error) {
	name, err := wal.ParseName(f.Name)
	if err != nil {
		return catalogue.WALRecord{}, err
	}
	seconds, err := strconv.ParseFloat(string(f.Time), 64)
	if err != nil || seconds < 0 || seconds > 1<<40 || f.Size < 0 {
		return catalogue.WALRecord{}, fmt.Errorf("%s is of the time %.40q and has %d bytes", f.Name, f.Time, f.Size)
	}
	r := catalogue.WALRecord{Name: name, Size: f.Size, ModTime: time.UnixMicro(int64(seconds * 1e6))}
	if f.Compression != nil {
		r.Compression = *f.Compression
	}
	if f.Encryption != nil {
		r.Encryption = *f.Encryption
	}
	return r, nil
}

// readInfo reads backup.info of a backup of the primary's. A missing one is an
// error of kind NotFound.
func (p Primary) readInfo(ctx context.Context, info Info, id catalogue.BackupID) ([]byte, error) {
	out := &bounded{}
	err := p.shell.Run(ctx, nil, out, `for f; do [ -f "$f" ] && exec cat -- "$f"; done; exit 44`,
		filepath.Join(info.text("backup_directory"), "meta", string(id)+"-backup.info"), filepath.Join(info.text("basebackups_directory"), string(id), "backup.info"))
	var failed *remote.Failed
	switch {
	case errors.As(err, &failed) && failed.Code == exitMissing:
		return nil, sdk.Errorf(sdk.NotFound, "the primary of server %s has no backup %s any more", p.server.Name(), id)
	case errors.As(err, &failed):
		return nil, sdk.Errorf(sdk.Unavailable, "read what the primary of server %s knows of backup %s: %w", p.server.Name(), id, err)
	}
	return out.Bytes(), err
}

// rsync copies from a directory of the primary into one of this host. The names of
// files to copy may come on list, each ended by a NUL.
func (p Primary) rsync(ctx context.Context, from, to string, list io.Reader, options ...string) error {
	// rsync makes words of its option -e, and knows no shell: the command comes in the
	// environment. What runs on the primary is one word of it, and names no files: these
	// go over the connection.
	args := append([]string{"--protect-args", "--times", "--perms", "--timeout=" + strconv.Itoa(ioTimeout), "-e", `sh -c '[ -n "$1" ] || shift; line=$*; eval "$BARMAN_PRIMARY_SSH"' sh`}, options...)
	if list != nil {
		args = append(args, "--from0", "--files-from=-")
	}
	cmd := exec.CommandContext(ctx, "rsync", append(args, "--", ":"+strings.TrimSuffix(from, "/")+"/", strings.TrimSuffix(to, "/")+"/")...)
	cmd.Env = append(os.Environ(), "BARMAN_PRIMARY_SSH="+p.shell.Command+` "$line"`, "SSH_ASKPASS_REQUIRE=never", "LC_ALL=C")
	cmd.Stdin = list
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return sdk.Errorf(sdk.Cancelled, "rsync: %w", context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return sdk.Errorf(sdk.Invalid, "rsync is not installed on this host: %w", err)
	case !errors.As(err, &exit):
		return fmt.Errorf("rsync: %w", err)
	}
	return sdk.Errorf(kindOf(exit.ExitCode()), "copy %s from the primary: %s: %s", from, meaning(exit.ExitCode()), clipped(said))
}

// Exit codes of rsync (rsync(1), EXIT VALUES).
const (
	rsyncFileIO   = 11
	rsyncStream   = 12
	rsyncPartial  = 23
	rsyncVanished = 24
	rsyncTimeout  = 30
	rsyncNoShell  = 127
	rsyncSSH      = 255
)

func kindOf(code int) sdk.ErrorKind {
	switch code {
	case rsyncStream, rsyncTimeout, rsyncSSH, rsyncVanished:
		return sdk.Unavailable
	case rsyncFileIO, rsyncPartial:
		return sdk.Denied
	case rsyncNoShell:
		return sdk.Invalid
	}
	return sdk.Unknown
}

func meaning(code int) string {
	switch code {
	case rsyncFileIO:
		return "a file could not be written or read (rsync's exit code 11)"
	case rsyncStream:
		return "the connection broke, or there is no rsync on the primary (rsync's exit code 12)"
	case rsyncPartial:
		return "some files could not be copied (rsync's exit code 23)"
	case rsyncVanished:
		return "files vanished on the primary meanwhile (rsync's exit code 24)"
	case rsyncTimeout:
		return "the primary did not answer in time (rsync's exit code 30)"
	case rsyncNoShell:
		return "there is no rsync on the primary, or no ssh here (rsync's exit code 127)"
	case rsyncSSH:
		return "ssh does not connect, or lost the connection (rsync's exit code 255)"
	}
	return fmt.Sprintf("rsync ended with exit code %d", code)
}

// clipped is the end of what rsync said, on one line.
func clipped(said []byte) string {
	const most = 1000
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " ")
	return text[max(0, len(text)-most):]
}

// position is how far WAL has been copied.
func position(s *server.Server) (Position, error) {
	text, err := os.ReadFile(filepath.Join(s.Catalogue.Layout().WALsDirectory, positionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, sdk.Errorf(sdk.Denied, "%w", err)
	}
	return parsePosition(string(text)), nil
}

// parsePosition reads a position. A damaged one counts as none: everything is
// looked at again, and nothing copied that is there.
func parsePosition(text string) Position {
	name, offset, _ := strings.Cut(strings.TrimSpace(text), "\t")
	n, err := strconv.ParseInt(offset, 10, 64)
	if _, invalid := wal.ParseName(name); invalid != nil || err != nil || n < 0 {
		return Position{}
	}
	return Position{Name: name, Offset: n}
}

func savePosition(s *server.Server, p Position) error {
	text := fmt.Sprintf("%s\t%d", p.Name, p.Offset)
	return durable.WriteFile(filepath.Join(s.Catalogue.Layout().WALsDirectory, positionFile), []byte(text), 0o600)
}
