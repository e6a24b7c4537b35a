package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/datadir"
)

// entry is a line of rsync's listing: a file or a directory of the source.
type entry struct {
	name     string
	size     int64
	modified time.Time // in whole seconds
	mode     fs.FileMode
	kind     byte // as ls -l has it: '-', 'd', or something that is not copied
}

var listLine = regexp.MustCompile(`^([-dlcbsp])([-rwxsStT]{9}) +([\d,.]+) (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) (.+)$`)

// parseEntry reads a line such as
// "-rw-------          8,192 2026/01/02 03:04:05 base/1/1259".
func parseEntry(line string) (entry, error) {
	found := listLine.FindStringSubmatch(line)
	if found == nil {
		return entry{}, sdk.Errorf(sdk.Unavailable, "rsync's listing has the unknown line %.200q", line)
	}
	size, err := strconv.ParseInt(strings.NewReplacer(",", "", ".", "").Replace(found[3]), 10, 64)
	if err != nil {
		return entry{}, sdk.Errorf(sdk.Unavailable, "rsync's listing has an unknown size: %.200q", line)
	}
	modified, err := time.Parse("2006/01/02 15:04:05", found[4])
	if err != nil {
		return entry{}, sdk.Errorf(sdk.Unavailable, "rsync's listing has an unknown time: %.200q", line)
	}
	e := entry{kind: found[1][0], name: unescape(found[5]), size: size, modified: modified}
	for i, bit := range found[2] {
		if strings.ContainsRune("rwxst", bit) {
			e.mode |= 1 << (8 - i)
		}
	}
	if e.name != "." && !sdk.ValidName(e.name) {
		return entry{}, impossible(e.name)
	}
	return e, nil
}

// String is the line that parseEntry reads.
func (e entry) String() string {
	mode := []byte("---------")
	for i := range mode {
		if e.mode&(1<<(8-i)) != 0 {
			mode[i] = "rwx"[i%3]
		}
	}
	return fmt.Sprintf("%c%s %d %s %s", e.kind, mode, e.size, e.modified.UTC().Format("2006/01/02 15:04:05"), strings.ReplaceAll(e.name, `\#`, `\#134#`))
}

var escaped = regexp.MustCompile(`\\#[0-7]{3}`)

// unescape undoes rsync's way to print special characters: \#012.
func unescape(name string) string {
	return escaped.ReplaceAllStringFunc(name, func(text string) string {
		code, err := strconv.ParseUint(text[2:], 8, 8)
		if err != nil {
			return text
		}
		return string([]byte{byte(code)})
	})
}

// listing is what one directory of the server holds, in a file: neither the
// number of files nor the length of names is bounded.
type listing struct {
	file  *os.File
	bytes int64
	// initial are the relations that have an init fork: "base/5/16384".
	initial map[string]bool
}

func (l *listing) close() error { return errors.Join(l.file.Close(), os.Remove(l.file.Name())) }

// list asks for all that is to be copied of an item.
func (c *copying) list(ctx context.Context, it item) (*listing, error) {
	file, err := os.CreateTemp(c.lists, "listing")
	if err != nil {
		return nil, err
	}
	l := &listing{file: file, initial: map[string]bool{}}
	out := bufio.NewWriter(file)
	add := func(e entry) error {
		if it.list.Excludes(e.name) {
			return nil
		}
		if node, found := strings.CutSuffix(e.name, "_init"); found {
			l.initial[node] = true
		}
		l.bytes += e.size
		_, err := fmt.Fprintln(out, e)
		return err
	}
	if c.rsync.remote == "" {
		err = walk(ctx, it, ".", add)
	} else {
		err = c.ask(ctx, it, add)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list %s: %w", it.source, err), l.close())
	}
	return l, nil
}

// ask lists a directory of another host with rsync.
func (c *copying) ask(ctx context.Context, it item, add func(entry) error) error {
	args := []string{"--list-only", "--recursive", "--copy-links", "--8-bit-output", "--no-human-readable"}
	for _, rule := range it.list.FilterRules() {
		args = append(args, "--filter="+rule)
	}
	return c.rsync.run(ctx, func(line string) error {
		e, err := parseEntry(line)
		if err != nil {
			return err
		}
		return add(e)
	}, append(args, c.rsync.from(it.source+"/"))...)
}

// walk lists a directory of this machine. Symbolic links are followed, and what
// vanishes meanwhile is none of the backup's.
func walk(ctx context.Context, it item, name string, add func(entry) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	directory, err := os.Open(filepath.Join(it.source, name))
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		return nil
	}
	if err != nil {
		return explained(err)
	}
	names, err := directory.Readdirnames(-1)
	if err = errors.Join(err, directory.Close()); err != nil {
		return explained(err)
	}
	for _, base := range names {
		below := path.Join(name, base)
		if it.list.Excludes(below) {
			continue
		}
		info, err := os.Stat(filepath.Join(it.source, below))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return explained(err)
		}
		e := entry{name: below, modified: info.ModTime(), mode: info.Mode().Perm(), kind: 's'}
		switch {
		case !sdk.ValidName(below):
			return impossible(below)
		case info.IsDir():
			e.kind = 'd'
		case info.Mode().IsRegular():
			e.kind, e.size = '-', info.Size()
		}
		if err := add(e); err != nil {
			return err
		}
		if e.kind == 'd' {
			if err := walk(ctx, it, below, add); err != nil {
				return err
			}
		}
	}
	return nil
}

// explained gives what the file system refuses its kind.
func explained(err error) error {
	kind, advice := sdk.Unavailable, "see the kernel's log"
	switch {
	case errors.Is(err, fs.ErrPermission):
		kind, advice = sdk.Denied, "barman must run as a user who may read all files of the server"
	case errors.Is(err, fs.ErrNotExist):
		kind, advice = sdk.NotFound, "without ssh_command PostgreSQL must run on this machine"
	}
	return sdk.Errorf(kind, "%w: %s", err, advice)
}

func impossible(name string) error {
	return sdk.Errorf(sdk.Invalid, "the server has a file with the impossible name %.200q: rename it", name)
}

// each calls do for every entry that is to be copied.
func (l *listing) each(do func(entry) error) error {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return readLines(l.file, func(line string) error {
		e, err := parseEntry(line)
		if err != nil || l.unlogged(e) {
			return err
		}
		return do(e)
	})
}

// unlogged tells whether recovery makes a file anew from its relation's init fork.
func (l *listing) unlogged(e entry) bool {
	if len(l.initial) == 0 || e.kind != '-' {
		return false
	}
	directory, base := path.Split(e.name)
	node := base[:len(base)-len(strings.TrimLeft(base, "0123456789"))]
	return l.initial[directory+node] && datadir.Unlogged([]string{node + "_init", base})[base]
}

// share is what one rsync copies.
type share struct {
	list  *os.File
	out   *bufio.Writer
	bytes int64
	files int
}

func newShare(directory string) (*share, error) {
	file, err := os.CreateTemp(directory, "files")
	if err != nil {
		return nil, err
	}
	return &share{list: file, out: bufio.NewWriter(file)}, nil
}

func (s *share) add(e entry) error {
	s.bytes += e.size
	s.files++
	// rsync takes a name that begins with "#" or ";" for a comment, even so.
	_, err := s.out.WriteString("./" + e.name + "\x00")
	return err
}

// missing counts the files of a share that are not in a directory, and names one.
func (s *share) missing(directory string) (n int, example string, err error) {
	list, err := os.Open(s.list.Name())
	if err != nil {
		return 0, "", err
	}
	defer list.Close() // it was only read from
	for names := bufio.NewReader(list); ; {
		name, err := names.ReadString(0)
		if err == io.EOF {
			return n, example, nil
		}
		if err != nil {
			return 0, "", err
		}
		name = strings.TrimSuffix(name, "\x00")
		if _, err := os.Lstat(filepath.Join(directory, name)); errors.Is(err, fs.ErrNotExist) {
			n, example = n+1, name
		} else if err != nil {
			return 0, "", err
		}
	}
}

// close finishes the list; its file stays for rsync.
func (s *share) close() error { return errors.Join(s.out.Flush(), s.list.Close()) }

// largeFile is from which size on files are dealt out first, the largest before
// all; smaller ones then make the shares even.
const largeFile = 16 << 20

// shares deals the files of a listing out evenly, and makes the directories.
// doubtful are those of which size and time do not tell whether they are as in
// the reference.
func (c *copying) shares(l *listing, it item) (even []*share, doubtful *share, err error) {
	for range c.jobs + 1 {
		s, err := newShare(c.lists)
		if err != nil {
			return nil, nil, err
		}
		even = append(even, s)
	}
	doubtful, even = even[c.jobs], even[:c.jobs]
	least := func() *share {
		return slices.MinFunc(even, func(a, b *share) int {
			// A file costs something even if it is empty.
			return cmp.Compare(a.bytes+int64(a.files)<<12, b.bytes+int64(b.files)<<12)
		})
	}
	var large []entry
	err = l.each(func(e entry) error {
		switch {
		case e.kind == 'd':
			return makeDirectory(filepath.Join(it.target, e.name), e.mode)
		case e.kind != '-':
			c.logger.Warn("neither a file nor a directory: it is not in the backup", "name", path.Join(it.source, e.name))
		case e.size < largeFile:
		case c.doubt(e, it):
			return doubtful.add(e)
		default:
			large = append(large, e)
		}
		return nil
	})
	slices.SortFunc(large, func(a, b entry) int { return cmp.Compare(b.size, a.size) })
	for _, e := range large {
		if err == nil {
			err = least().add(e)
		}
	}
	if err == nil {
		err = l.each(func(e entry) error {
			switch {
			case e.kind != '-' || e.size >= largeFile || it.control && e.name == datadir.Control:
				return nil
			case c.doubt(e, it):
				return doubtful.add(e)
			}
			return least().add(e)
		})
	}
	for _, s := range append(slices.Clone(even), doubtful) {
		err = errors.Join(err, s.close())
	}
	return even, doubtful, err
}

// makeDirectory makes a directory that nobody but barman needs to write to.
func makeDirectory(name string, mode fs.FileMode) error {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return err
	}
	return os.Chmod(name, mode.Perm()|0o700)
}

// doubt tells whether a file may differ from the reference's although it has the
// same size and time: times are in whole seconds, and what was written after the
// reference was begun may have been written again in the second in which it was
// copied.
func (c *copying) doubt(e entry, it item) bool {
	if it.reference == "" || e.modified.Unix() < c.horizon.Unix() {
		return false
	}
	info, err := os.Lstat(filepath.Join(it.reference, e.name))
	return err == nil && info.Mode().IsRegular() && info.Size() == e.size && info.ModTime().Unix() == e.modified.Unix()
}
