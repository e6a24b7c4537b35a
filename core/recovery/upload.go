package recovery

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// What goes to another host goes as a tar archive into a tar that unpacks it there:
// one for each lane, every one over a connection of its own. Nothing waits on this
// host's disk, and the other host needs no barman. All of it is made durable there
// before the guards are taken away.

const (
	// receive unpacks an archive with absolute names, over what is there.
	receive       = `umask 077; cd / && exec tar -xpof -`
	receiveZipped = `umask 077; cd / && exec tar -xpozf -`
	// archiveBuffer is how much goes into a connection at once.
	archiveBuffer = 256 << 10
	// maxHeld is how much of an object of unknown size is kept in memory; a longer one
	// goes through a file in the staging path.
	maxHeld = 1 << 20
)

// upload sends files to another host.
type upload struct {
	run     *run
	ctx     context.Context
	cancel  context.CancelFunc
	limit   *rate.Limiter // nil for none
	observe pipeline.Observer
	// free are connections that nobody writes to; nil for one that is not open yet.
	free chan *outgoing
	sent atomic.Int64

	mu     sync.Mutex
	opened []*outgoing
}

// outgoing is a tar archive on its way into a connection.
type outgoing struct {
	*tar.Writer
	out     *bufio.Writer
	zip     io.WriteCloser // nil when nothing is compressed
	running *remote.Running
	buffer  []byte
}

// upload begins to send; the caller ends with close.
func (r *run) upload(ctx context.Context) (*upload, error) {
	u := &upload{run: r}
	u.ctx, u.cancel = context.WithCancel(ctx)
	lanes := max(1, r.line.Lanes)
	u.free = make(chan *outgoing, lanes)
	for range lanes {
		u.free <- nil
	}
	if limit := r.request.BandwidthLimit; limit > 0 {
		u.limit = rate.NewLimiter(rate.Limit(limit), archiveBuffer)
	}
	return u, nil
}

// send restores what selections name onto the other host. place is where a name
// goes.
func (r *run) send(ctx context.Context, line pipeline.Line, selections []host.Selection, observe pipeline.Observer, place func(name string) string) error {
	u, err := r.upload(ctx)
	if err != nil {
		return err
	}
	u.observe = observe
	return u.close(r.server.Engine.ReadObserved(ctx, line, selections, observe, func(ctx context.Context, o sdk.Object, content io.Reader) error {
		if u.limit != nil {
			content = &throttled{ctx: ctx, r: content, limit: u.limit}
		}
		if o.Kind == sdk.KindTar {
			return u.unpack(ctx, o, content, place)
		}
		return u.restore(ctx, o, content, place)
	}))
}

// sendData restores a backup onto the other host.
func (r *run) sendData(ctx context.Context, line pipeline.Line, selections []host.Selection, observe pipeline.Observer) error {
	if err := r.sendFiles(ctx, line, selections, observe); err != nil {
		return err
	}
	return r.sendLinks(ctx)
}

// sendFiles restores files, where they belong.
func (r *run) sendFiles(ctx context.Context, line pipeline.Line, selections []host.Selection, observe pipeline.Observer) error {
	return r.send(ctx, line, selections, observe, func(name string) string {
		root, below := r.place(name)
		return filepath.Join(root, below)
	})
}

// sendLinks puts the links to tablespaces into the data directory.
func (r *run) sendLinks(ctx context.Context) error {
	if len(r.mounts) == 0 {
		return nil
	}
	u, err := r.upload(ctx)
	if err != nil {
		return err
	}
	for name, location := range r.mounts {
		err = u.write(ctx, func(a *outgoing) error {
			return a.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: below(filepath.Join(r.request.Destination, name)), Linkname: location, Mode: 0o777, ModTime: time.Now()})
		})
		if err != nil {
			break
		}
	}
	return u.close(err)
}

// ship sends the files of a directory of this host.
func (r *run) ship(ctx context.Context, from, to string) error {
	entries, err := hostfs.Local{}.ReadDir(from)
	if err != nil {
		return err
	}
	u, err := r.upload(ctx)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err = u.shipFile(ctx, filepath.Join(from, entry.Name), filepath.Join(to, entry.Name)); err != nil {
			break
		}
	}
	return u.close(err)
}

func (u *upload) shipFile(ctx context.Context, from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return u.put(ctx, to, sdk.Object{Size: info.Size(), ModTime: info.ModTime()}, f)
}

// restore sends one object.
func (u *upload) restore(ctx context.Context, o sdk.Object, content io.Reader, place func(string) string) error {
	at := place(o.Name)
	switch o.Kind {
	case sdk.KindSymlink:
		return u.run.refuseLink(o.Name)
	case sdk.KindDirectory:
		return u.directory(ctx, at, o.Mode)
	}
	if o.Size == sdk.SizeUnknown && u.run.sizes != nil {
		if size, known := u.run.sizes(o.Name); known {
			o.Size = size
		}
	}
	if o.Size == sdk.SizeUnknown {
		o.Size = u.run.segmentSize(o.Name)
	}
	if o.Size == sdk.SizeUnknown {
		return u.putUnsized(ctx, at, o, content)
	}
	return u.put(ctx, at, o, content)
}

// segmentSize is the size of a whole WAL segment, which all have; unknown for any
// other file.
func (r *run) segmentSize(name string) int64 {
	parsed, err := wal.ParseName(name)
	if size := r.request.Backup.SegmentSize; err == nil && parsed.Kind == wal.KindSegment && size > 0 {
		return int64(size)
	}
	return sdk.SizeUnknown
}

// refuseLink lets a symbolic link pass only where recovery puts its own.
func (r *run) refuseLink(name string) error {
	if _, mounted := r.mounts[name]; mounted {
		return nil
	}
	return sdk.Errorf(sdk.Corrupt, "%s is a symbolic link and no tablespace of the recovery: such links are not restored", name)
}

// putUnsized sends a file whose size is known only when it was read.
func (u *upload) putUnsized(ctx context.Context, at string, o sdk.Object, content io.Reader) error {
	var held strings.Builder
	size, err := io.CopyN(&held, content, maxHeld)
	if err != nil && err != io.EOF {
		return err
	}
	o.Size = size
	if err == io.EOF {
		return u.put(ctx, at, o, strings.NewReader(held.String()))
	}
	staged, err := os.CreateTemp(u.run.request.StagingPath, "barman_recovery-")
	if err != nil {
		return sdk.Errorf(sdk.Denied, "a place for %s on its way: %w; --staging-path names another one", o.Name, err)
	}
	defer staged.Close()                             // it was read by then
	if err := os.Remove(staged.Name()); err != nil { // it lives as long as it is open
		return err
	}
	more, err := io.Copy(staged, content)
	if err == nil {
		_, err = staged.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	o.Size += more
	return u.put(ctx, at, o, io.MultiReader(strings.NewReader(held.String()), staged))
}

// put sends a file.
func (u *upload) put(ctx context.Context, at string, o sdk.Object, content io.Reader) error {
	if err := u.run.leavesGuard(at); err != nil {
		return err
	}
	if o.Mode.Perm() == 0 {
		o.Mode = 0o600
	}
	return u.write(ctx, func(a *outgoing) error {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: below(at), Size: o.Size, Mode: int64(o.Mode.Perm()), ModTime: wholeSeconds(o.ModTime)}
		if err := a.WriteHeader(header); err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{a}, io.LimitReader(content, o.Size), a.buffer)
		u.progress(n)
		if err == nil && n < o.Size {
			return sdk.Errorf(sdk.Corrupt, "%s has %d bytes instead of %d", o.Name, n, o.Size)
		}
		if err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, content); err != nil || n > 0 {
			return errors.Join(err, sdk.Errorf(sdk.Corrupt, "%s has more than its %d bytes", o.Name, o.Size))
		}
		return nil
	})
}

// directory makes a directory.
func (u *upload) directory(ctx context.Context, at string, mode fs.FileMode) error {
	for _, d := range u.run.destinations() {
		if at == d.path {
			return nil
		}
	}
	if err := u.run.leavesGuard(at); err != nil {
		return err
	}
	return u.write(ctx, func(a *outgoing) error {
		// Whatever the mode, what belongs into the directory must get there.
		return a.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: below(at) + "/", Mode: int64(mode.Perm() | 0o700), ModTime: time.Now()})
	})
}

// leavesGuard refuses to replace what keeps PostgreSQL from starting.
func (r *run) leavesGuard(at string) error {
	for _, d := range r.destinations() {
		if at == filepath.Join(d.path, pidFile) {
			return sdk.Errorf(sdk.Corrupt, "the backup holds a %s, which is no part of any backup", pidFile)
		}
	}
	return nil
}

// below is a path as archives have it: relative to the root directory.
func below(at string) string { return strings.TrimPrefix(at, "/") }

// wholeSeconds is a time as archives have it. Rounded up it would be of the future.
func wholeSeconds(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now()
	}
	return t.Truncate(time.Second)
}

// unpack sends the members of an archive, which go beneath the directory of its
// name.
func (u *upload) unpack(ctx context.Context, o sdk.Object, content io.Reader, place func(string) string) error {
	in := bufio.NewReaderSize(content, archiveBuffer)
	end := codec.NewTarEnd(in)
	members := tar.NewReader(end)
	for {
		before := end.Count()
		header, err := members.Next()
		if err == io.EOF {
			if end.Missing(before) {
				return sdk.Errorf(sdk.Corrupt, "unpack %s: the archive was cut off between two members", o.Name)
			}
			// The archive's end is followed by padding, which belongs to the object.
			_, err = io.Copy(io.Discard, in)
			return err
		}
		if err == nil {
			err = u.member(ctx, path.Dir(o.Name), header, members, place)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", o.Name, damaged(err))
		}
	}
}

// damaged tells a damaged archive from a failing source.
func damaged(err error) error {
	for _, sign := range []error{io.ErrUnexpectedEOF, tar.ErrHeader, tar.ErrFieldTooLong, tar.ErrInsecurePath} {
		if errors.Is(err, sign) {
			return sdk.Errorf(sdk.Corrupt, "the archive is damaged: %w", err)
		}
	}
	return err
}

// member sends a member of an archive.
func (u *upload) member(ctx context.Context, prefix string, header *tar.Header, content io.Reader, place func(string) string) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	clean := path.Clean(strings.TrimSuffix(header.Name, "/"))
	if clean == "." {
		return nil // the directory itself, which is there
	}
	name := path.Join(prefix, clean)
	if !sdk.ValidName(clean) || !sdk.ValidName(name) {
		return sdk.Errorf(sdk.Corrupt, "a member has the impossible name %.200q", header.Name)
	}
	switch mode := header.FileInfo().Mode().Perm(); header.Typeflag {
	case tar.TypeDir:
		return u.directory(ctx, place(name), mode)
	case tar.TypeSymlink:
		return u.run.refuseLink(name)
	case tar.TypeReg:
		return u.put(ctx, place(name), sdk.Object{Name: name, Size: header.Size, Mode: mode, ModTime: header.ModTime}, content)
	}
	return sdk.Errorf(sdk.Corrupt, "%s is of the type %q: the archive of a data directory holds files and directories only", name, header.Typeflag)
}

// progress tells how many bytes more have gone.
func (u *upload) progress(n int64) {
	if u.observe.Progress != nil {
		u.observe.Progress(pipeline.Progress{Bytes: u.sent.Add(n)})
	}
}

// write writes to a connection that nobody else writes to.
func (u *upload) write(ctx context.Context, write func(*outgoing) error) error {
	var a *outgoing
	select {
	case a = <-u.free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { u.free <- a }()
	if a == nil {
		var err error
		if a, err = u.open(); err != nil {
			return err
		}
	}
	err := write(a)
	if errors.Is(err, fs.ErrClosed) || errors.Is(err, syscall.EPIPE) {
		err = sdk.Errorf(sdk.Unavailable, "the other host takes no more: %w", err)
	}
	return err
}

// open connects.
func (u *upload) open() (*outgoing, error) {
	script := receive
	if u.run.request.NetworkCompression {
		script = receiveZipped
	}
	running, err := remote.Shell{Command: u.run.host.Remote()}.Start(u.ctx, io.Discard, script)
	if err != nil {
		return nil, err
	}
	a := &outgoing{running: running, out: bufio.NewWriterSize(running.In, archiveBuffer), buffer: make([]byte, archiveBuffer)}
	a.Writer = tar.NewWriter(a.out)
	if u.run.request.NetworkCompression {
		if a.zip, err = codec.NewWriter(codec.Gzip, "1", a.out); err != nil {
			return nil, err
		}
		a.Writer = tar.NewWriter(a.zip)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.opened = append(u.opened, a)
	return a, nil
}

// throttled reads no faster than a limit that all readers share.
type throttled struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
}

func (t *throttled) Read(p []byte) (int, error) {
	n, err := t.r.Read(p[:min(len(p), archiveBuffer)])
	if waited := t.limit.WaitN(t.ctx, n); waited != nil {
		return n, waited
	}
	return n, err
}

// close ends the upload, which failed or not, and tells whether everything has
// arrived.
func (u *upload) close(failed error) error {
	defer u.cancel()
	var reasons error
	for _, a := range u.opened {
		reasons = errors.Join(reasons, a.end(failed))
	}
	switch {
	case reasons == nil:
		return failed
	case failed == nil, sdk.KindOf(failed) == sdk.Unavailable, sdk.KindOf(failed) == sdk.Disconnected:
		return reasons // which is why it failed
	}
	return failed
}

// end ends an archive and waits until the other host has unpacked it. After a
// failure it only ends the connection.
func (a *outgoing) end(failed error) error {
	var err error
	if failed == nil {
		err = a.Close()
		if a.zip != nil {
			err = errors.Join(err, a.zip.Close())
		}
		err = errors.Join(err, a.out.Flush())
	}
	_ = a.running.In.Close() // what could not be written is told by what follows
	var exit *remote.Failed
	waited := a.running.Wait()
	switch {
	case errors.As(waited, &exit) && failed == nil:
		return sdk.Errorf(sdk.Denied, "the other host could not write what was restored: %w", waited)
	case errors.As(waited, &exit):
		return sdk.Errorf(sdk.Denied, "%w", waited)
	case waited != nil:
		return waited
	}
	return err
}
