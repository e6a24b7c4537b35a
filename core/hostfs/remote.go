package hostfs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/sdk"
)

// exitMissing is what a script ends with when a file is not there; exitBusy when
// somebody else holds a lock.
const (
	exitMissing = 44
	exitBusy    = 75
)

// Remote is the file system of another host. It needs sh, tar and the usual
// commands there; for a delta restore the find of GNU. Its methods may be called from several goroutines, and
// run one after the other.
type Remote struct {
	shell   remote.Shell
	session *remote.Session
	locked  []string // directories
}

// Connect opens a connection, which Close ends.
func Connect(ctx context.Context, shell remote.Shell) (*Remote, error) {
	session, err := shell.Open(ctx)
	if err != nil {
		return nil, sdk.Errorf(sdk.Unavailable, "no connection to the other host: %w", err)
	}
	return &Remote{shell: shell, session: session}, nil
}

// Close ends the connection, and so gives back all locks.
func (r *Remote) Close() error { return r.session.Close() }

// Renew implements Host. No other method may be called meanwhile.
func (r *Remote) Renew(ctx context.Context) error {
	_, err := r.session.Call(`:`)
	if err == nil {
		return nil
	}
	again, err := Connect(ctx, r.shell)
	if err != nil {
		return err
	}
	for _, at := range r.locked {
		if _, err := again.Lock(at); err != nil {
			return errors.Join(err, again.Close())
		}
	}
	r.session, r.locked = again.session, again.locked
	return nil
}

// Remote is the command that leads there.
func (r *Remote) Remote() string { return r.shell.Command }

// call runs a script and tells what it failed with as an operation on a path.
func (r *Remote) call(script, at string, more ...string) ([]byte, error) {
	if strings.ContainsRune(at, 0) {
		return nil, sdk.Errorf(sdk.Invalid, "%q is no path", at)
	}
	said, err := r.session.Call(durably+script, append([]string{at}, more...)...)
	var failed *remote.Failed
	switch {
	case errors.As(err, &failed) && failed.Code == exitMissing:
		return nil, &fs.PathError{Op: "look for", Path: at, Err: fs.ErrNotExist}
	case errors.As(err, &failed):
		return nil, sdk.Errorf(sdk.Denied, "%s: %w", at, err)
	}
	return said, err
}

// durably makes files durable. Where sync takes no arguments it syncs everything.
const durably = `synced() { sync -- "$@" 2>/dev/null || sync; }
there() { [ -e "$1" ] || [ -L "$1" ] || exit 44; }
`

// Resolve implements Host.
func (r *Remote) Resolve(at string) (string, error) {
	said, err := r.call(`d=$1; rest=
while ! cd -P -- "$d" 2>/dev/null; do
	[ "$d" = / ] && exit 1
	rest="/${d##*/}$rest"; d=${d%/*}; d=${d:-/}
done
printf '%s%s' "$(pwd -P)" "$rest"`, path.Clean(at))
	return path.Clean(string(said)), err
}

// Lstat implements Host.
func (r *Remote) Lstat(at string) (Entry, error) {
	said, err := r.call(`there "$1"; stat -c '%f %s %Y %Z' -- "$1"`, at)
	if err != nil {
		return Entry{}, err
	}
	var mode uint32
	var size, modified, changed int64
	if _, err := fmt.Sscanf(string(said), "%x %d %d %d", &mode, &size, &modified, &changed); err != nil {
		return Entry{}, sdk.Errorf(sdk.Corrupt, "stat of %s on the other host says %.100q", at, said)
	}
	return Entry{Name: path.Base(at), Type: typeOf(mode), Mode: fs.FileMode(mode).Perm(), Size: size, ModTime: time.Unix(modified, 0), Changed: time.Unix(changed, 0)}, nil
}

// typeOf is the type of a file by its mode in stat(2).
func typeOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

// ReadDir implements Host.
func (r *Remote) ReadDir(at string) ([]Entry, error) {
	said, err := r.call(`there "$1"; cd -- "$1" || exit 1
[ -r . ] || { echo 'it may not be read'; exit 1; }
for f in * .[!.]* ..?*; do
	t=o
	[ -f "$f" ] && t=f
	[ -d "$f" ] && t=d
	[ -L "$f" ] && t=l
	[ $t = o ] && [ ! -e "$f" ] && continue
	printf '%s%s\000' $t "$f"
done`, at)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for line := range bytes.SplitSeq(bytes.TrimSuffix(said, []byte{0}), []byte{0}) {
		if len(line) > 1 {
			entries = append(entries, Entry{Name: string(line[1:]), Type: typeLetter(line[0])})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

func typeLetter(letter byte) fs.FileMode {
	switch letter {
	case 'f':
		return 0
	case 'd':
		return fs.ModeDir
	case 'l':
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

// ReadFile implements Host.
func (r *Remote) ReadFile(at string, limit int64) ([]byte, error) {
	content, err := r.call(`there "$1"; [ -f "$1" ] || { echo 'it is no regular file'; exit 1; }; head -c "$2" -- "$1"`, at, strconv.FormatInt(limit+1, 10))
	if err == nil && int64(len(content)) > limit {
		err = sdk.Errorf(sdk.Corrupt, "%s is longer than %d bytes", at, limit)
	}
	return content, err
}

// replaced begins scripts that write a file: under a temporary name, which
// durable.IsTemporary knows, and then its own.
const replaced = `umask 077
dir=${1%/*}; base=${1##*/}; tmp="$dir/.$base.$$.tmp"
there "${dir:-/}"
[ -d "$1" ] && [ ! -L "$1" ] && { echo 'it is a directory'; exit 1; }
trap 'rm -f -- "$tmp"' EXIT
`

const publish = ` && chmod "$2" "$tmp" && synced "$tmp" && mv -f -- "$tmp" "$1" && synced "${dir:-/}"`

// WriteFile implements Host.
func (r *Remote) WriteFile(at string, content []byte, mode fs.FileMode) error {
	_, err := r.call(replaced+`printf '%b' "$3" >"$tmp"`+publish, at, octal(mode), escape(content))
	return err
}

// CopyFile implements Host.
func (r *Remote) CopyFile(from, to string, mode fs.FileMode) error {
	_, err := r.call(`there "$3"; `+replaced+`cp -p -- "$3" "$tmp"`+publish, to, octal(mode), from)
	return err
}

func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }

// escape writes bytes as the printf of a POSIX shell reads them for its %b.
func escape(content []byte) string {
	var out strings.Builder
	for _, b := range content {
		if b >= ' ' && b < 0x7f && b != '\\' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, `\0%03o`, b)
		}
	}
	return out.String()
}

// Rename implements Host.
func (r *Remote) Rename(from, to string) error {
	_, err := r.call(`there "$1"; mv -f -- "$1" "$2"`, from, to)
	return err
}

// Remove implements Host.
func (r *Remote) Remove(at string) error {
	_, err := r.call(`[ -e "$1" ] || [ -L "$1" ] || exit 0; rm -f -- "$1" && synced "${1%/*}/"`, at)
	return err
}

// RemoveAll implements Host.
func (r *Remote) RemoveAll(at string) error {
	_, err := r.call(`rm -rf -- "$1"`, at)
	return err
}

// RemoveEmpty implements Host.
func (r *Remote) RemoveEmpty(at string) {
	_, _ = r.call(`rmdir -- "$1"`, at) // one that is not empty stays
}

// MakeDirectory implements Host.
func (r *Remote) MakeDirectory(at string) error {
	_, err := r.call(`umask 077; mkdir -p -- "$1" && synced "$1" "${1%/*}/"`, at)
	return err
}

// Chmod implements Host.
func (r *Remote) Chmod(at string, mode fs.FileMode) error {
	_, err := r.call(`chmod "$2" "$1"`, at, octal(mode))
	return err
}

// Lock implements Host. The lock is that of flock(1), which holds it as long as
// the connection lives. A host without the command locks nothing.
func (r *Remote) Lock(at string) (io.Closer, error) {
	if _, err := r.call(`there "$1"; cd -- "$1"`, at); err != nil {
		return nil, err
	}
	err := r.session.Become(`command -v flock >/dev/null && exec flock -n -E 75 "$1" sh -c "$become"`, at)
	var failed *remote.Failed
	switch {
	case errors.As(err, &failed) && failed.Code == exitBusy:
		return nil, sdk.Errorf(sdk.Busy, "another barman recovers into %s on the other host, or the connection of one was lost and the sshd there has not noticed: 'fuser -v %s' shows it, and ClientAliveInterval in sshd_config makes it notice", at, at)
	case errors.As(err, &failed): // it is not there
	case err != nil:
		return nil, err
	}
	r.locked = append(r.locked, at)
	return released{}, nil
}

// released stands for a lock that the end of the connection gives back.
type released struct{}

func (released) Close() error { return nil }

// Running implements Host.
func (r *Remote) Running(pid int) (bool, error) {
	said, err := r.call(`if kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ]; then echo yes; fi`, strconv.Itoa(pid))
	return strings.TrimSpace(string(said)) == "yes", err
}

// Owner implements Host.
func (r *Remote) Owner(at string) (Owner, error) {
	said, err := r.call(`d=$1; while [ ! -e "$d" ]; do d=${d%/*}; d=${d:-/}; done; stat -L -c '%u %g' -- "$d"`, at)
	var o Owner
	if err == nil {
		_, err = fmt.Sscanf(string(said), "%d %d", &o.User, &o.Group)
	}
	return o, err
}

// GiveTo implements Host.
func (r *Remote) GiveTo(at string, owner Owner) error {
	if owner.User == 0 {
		return nil
	}
	_, err := r.call(`[ "$(id -u)" = 0 ] || exit 0; chown -hR "$2" -- "$1"`, at, fmt.Sprintf("%d:%d", owner.User, owner.Group))
	return err
}

// SyncDirectory implements Host.
func (r *Remote) SyncDirectory(at string) error {
	_, err := r.call(`synced "$1"`, at)
	return err
}

// Sync implements Host.
func (r *Remote) Sync(at string) error {
	_, err := r.call(`sync -f -- "$1" 2>/dev/null || sync`, at)
	return err
}

// begun is what comes before the output of a script whose every byte counts: the
// login shell may have said something before.
const begun = "barman:"

// Walk implements Host, over a connection of its own.
func (r *Remote) Walk(ctx context.Context, root string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		listing, err := r.shell.Start(ctx, nil, `printf '`+begun+`\000'; cd -- "$1" && find . -mindepth 1 -printf '%y %s %T@ %C@ %P\0'`, root)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		_ = listing.In.Close() // nothing is said to it
		in := bufio.NewReaderSize(listing.Out, 64<<10)
		err = readBegun(in)
		for err == nil {
			var line string
			if line, err = in.ReadString(0); err != nil {
				break
			}
			var e Entry
			if e, err = parseEntry(strings.TrimSuffix(line, "\x00")); err == nil && !yield(e, nil) {
				cancel()
				_ = listing.Wait() // it was told to end
				return
			}
		}
		_, _ = io.Copy(io.Discard, in) // so that it can end
		if waited := listing.Wait(); waited != nil {
			err = sdk.Errorf(sdk.Denied, "list %s on the other host, which needs the find of GNU: %w", root, waited)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Entry{}, err)
		}
	}
}

func readBegun(in *bufio.Reader) error {
	text, err := in.ReadString(0)
	if err == nil && !strings.HasSuffix(text, begun+"\x00") {
		return sdk.Errorf(sdk.Corrupt, "the other host says something else than it was asked for: %.100q", text)
	}
	return err
}

// parseEntry reads a line of find.
func parseEntry(line string) (Entry, error) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) == 5 && len(fields[0]) == 1 && fields[4] != "" {
		size, sized := strconv.ParseInt(fields[1], 10, 64)
		modified, dated := parseSeconds(fields[2])
		changed, redated := parseSeconds(fields[3])
		if errors.Join(sized, dated, redated) == nil {
			return Entry{Name: fields[4], Type: typeLetter(fields[0][0]), Size: size, ModTime: modified, Changed: changed}, nil
		}
	}
	return Entry{}, sdk.Errorf(sdk.Corrupt, "the other host lists %.200q, which is no file", line)
}

// parseSeconds reads whole seconds of a time with a fraction.
func parseSeconds(text string) (time.Time, error) {
	whole, _, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	return time.Unix(seconds, 0), err
}
