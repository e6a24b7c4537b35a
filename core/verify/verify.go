package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/manifest"
)

// Request is what to verify.
type Request struct {
	Backup *catalogue.Backup
	// SkipWAL leaves out the WAL that the backup needs.
	SkipWAL bool
	// Jobs is how many files are read at once; 0 leaves it to the machine.
	Jobs int
	// Progress is told how much was read; may be nil.
	Progress func(pipeline.Progress)
}

// Report is what was found.
type Report struct {
	Backup catalogue.BackupID
	// Files and Bytes were read, as they are when they are restored.
	Files, Bytes int64
	// Manifest and Receipts tell what the backup was held against.
	Manifest, Receipts bool
	// Segments of WAL were read; see Request.SkipWAL.
	Segments int
	// Problems are in the order of the files' names.
	Problems []Problem
	// More are problems beyond those that are listed.
	More int
	// Warnings are worth knowing, and no damage.
	Warnings []string
	Elapsed  time.Duration
}

// Damaged tells whether there is any problem.
func (r Report) Damaged() bool { return len(r.Problems)+r.More > 0 }

// run is one verification on its way.
type run struct {
	server  *server.Server
	request Request
	backup  *catalogue.Backup
	line    pipeline.Line
	checker checker
	report  Report
	// summary is the manifest without its files.
	summary manifest.Manifest
	// local is where the data directory is as plain files; empty if it comes
	// through the pipeline.
	local string
	form  stored.Form
	// incomplete tells that not all could be read: a file that was not found may
	// be there.
	incomplete bool
	links      links
	// warnings protects those of the report while WAL is read.
	warnings sync.Mutex
}

// Run verifies a backup. That it is damaged is in the report and no error.
// Errors: Invalid for a backup that is not complete, NotFound for one without
// anything to hold it against or without data, Busy while it is being deleted,
// and whatever kept it from being read.
func Run(ctx context.Context, s *server.Server, request Request) (Report, error) {
	begun := time.Now()
	r := &run{server: s, request: request, backup: request.Backup, line: s.BackupLine()}
	r.report.Backup = r.backup.ID
	if err := verifiable(r.backup); err != nil {
		return r.report, err
	}
	release, err := r.protect()
	if err != nil {
		return r.report, err
	}
	defer release()
	if r.request.Jobs <= 0 {
		r.request.Jobs = max(2, min(8, runtime.GOMAXPROCS(0)))
	}
	err = r.verify(ctx)
	r.report.Files, r.report.Bytes = r.checker.files.Load(), r.checker.bytes.Load()
	r.report.Problems, r.report.More = r.checker.problems.sorted(), r.checker.problems.more
	r.report.Elapsed = time.Since(begun)
	if err != nil {
		return r.report, fmt.Errorf("verify backup %s of server %s: %w", r.backup.ID, s.Name(), err)
	}
	return r.report, nil
}

// verifiable refuses backups of which it is known that something is missing, and
// those that are no files.
func verifiable(b *catalogue.Backup) error {
	switch {
	case b.Type() == catalogue.TypeSnapshot:
		return sdk.Errorf(sdk.Invalid, "backup %s is a snapshot of a cloud provider's disks: barman has no files of it that could be read", b.ID)
	case !b.State.CopyDone():
		return sdk.Errorf(sdk.Invalid, "backup %s is %s: only a complete backup can be verified", b.ID, b.State)
	}
	return nil
}

// protect keeps a backup from being deleted until release is called, and reads
// again what the catalogue says of it. Where nothing can be locked, because
// nothing can be written, it is verified all the same.
func (r *run) protect() (release func(), err error) {
	release = func() {}
	lock, err := r.server.Catalogue.LockShared(string(r.backup.ID))
	switch {
	case sdk.KindOf(err) == sdk.Busy:
		return nil, err
	case err != nil:
		r.warn("the backup cannot be protected from being deleted meanwhile: %v", err)
	default:
		release = func() {
			if err := lock.Release(); err != nil {
				r.server.Logger.Warn("the lock of a backup could not be given back", "backup", r.backup.ID, "error", err)
			}
		}
	}
	now, err := r.server.Catalogue.Get(r.backup.ID)
	if err != nil {
		release()
		return nil, err
	}
	r.backup = now
	return release, nil
}

func (r *run) verify(ctx context.Context) error {
	if err := r.locate(ctx); err != nil {
		return err
	}
	if err := r.readReceipts(); err != nil {
		return err
	}
	if err := r.readManifest(ctx); err != nil {
		return err
	}
	r.report.Manifest, r.report.Receipts = r.checker.manifest != nil, r.checker.receipts != nil
	if err := r.sufficient(); err != nil {
		return err
	}
	if r.report.Manifest || r.report.Receipts {
		stop := r.tell()
		err := r.readData(ctx)
		stop()
		if err == nil {
			err = r.missing(ctx)
		}
		if err != nil {
			return err
		}
	}
	if r.request.SkipWAL {
		return nil
	}
	return r.verifyWAL(ctx)
}

// locate finds out where the backup is, and in which form.
func (r *run) locate(ctx context.Context) error {
	data, err := r.server.Catalogue.DataDirectory(r.backup.ID)
	if err != nil {
		return err
	}
	info, err := os.Lstat(filepath.Join(data, "PG_VERSION"))
	switch {
	case err == nil && info.Mode().IsRegular():
		r.local = data
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	r.form, err = stored.Find(ctx, r.server, r.line, r.backup)
	if kind := sdk.KindOf(err); kind == sdk.NotFound || kind == sdk.Unavailable {
		// Another sink may have what the first does not.
		if line, form, otherErr := stored.Locate(ctx, r.server, r.line, r.backup); otherErr == nil {
			r.line, r.form, err = line, form, nil
		}
	}
	switch sdk.KindOf(err) {
	case sdk.Corrupt:
		r.checker.problems.add(Missing, "base/"+string(r.backup.ID), "", "%v", err)
		r.incomplete = true
		err = nil
	case sdk.NotFound:
		// A plain backup without its PG_VERSION is one that is damaged.
		if _, statErr := os.Lstat(filepath.Join(data, stored.ManifestName)); statErr == nil {
			r.local = data
			return nil
		}
	}
	if err != nil {
		return err
	}
	r.line.Transforms, err = r.form.Transforms(r.server, r.line.Transforms, r.backup)
	return err
}

// readReceipts fills the index of the objects.
func (r *run) readReceipts() error {
	_, objects, err := r.server.Catalogue.Receipts(r.backup.ID)
	switch {
	case sdk.KindOf(err) == sdk.NotFound:
		return nil
	case err == nil:
		receipts := newIndex()
		for o, objectErr := range objects {
			if err = objectErr; err != nil {
				break
			}
			receipts.add(o.Name, o.Size, manifest.CRC32C, crcBytes(uint32(o.CRC32C)))
		}
		if err == nil {
			receipts.seal()
			r.checker.receipts = receipts
		}
	}
	if sdk.KindOf(err) != sdk.Corrupt {
		return err
	}
	r.checker.problems.add(Damaged, catalogue.ReceiptsName, "", "%v", err)
	return nil
}

// readManifest fills the index of the files.
func (r *run) readManifest(ctx context.Context) error {
	files := newIndex()
	summary, err := r.eachFile(ctx, func(f manifest.File) error {
		files.add(f.Path, f.Size, f.Algorithm, f.Checksum)
		return nil
	})
	var damage *damagedManifest
	switch {
	case sdk.KindOf(err) == sdk.NotFound:
		return nil
	case errors.As(err, &damage):
		r.checker.problems.add(Damaged, stored.ManifestName, "", "%v; no file is held against it", damage)
		return nil
	case err != nil:
		return err
	}
	if files.seal() {
		if err := r.twice(ctx, files); err != nil {
			return err
		}
	}
	r.checker.manifest, r.checker.systemID, r.summary = files, summary.SystemID, summary
	if id := r.backup.SystemID; summary.SystemID != "" && id != "" && id != summary.SystemID {
		r.checker.problems.add(Damaged, stored.ManifestName, "", "is of the cluster with the system identifier %s, the backup of %s", summary.SystemID, id)
	}
	return nil
}

// twice names the files that the manifest lists more than once.
func (r *run) twice(ctx context.Context, files *index) error {
	seen := map[string]bool{}
	_, err := r.eachFile(ctx, func(f manifest.File) error {
		i, _ := files.at(f.Path)
		if i+1 < len(files.entries) && files.entries[i+1].key == files.entries[i].key {
			if seen[f.Path] {
				r.checker.problems.add(Damaged, stored.ManifestName, "", "lists %s twice", printable(f.Path))
			}
			seen[f.Path] = len(seen) < mostProblems
		}
		return nil
	})
	return err
}

// sufficient refuses a backup of which nothing could be said.
func (r *run) sufficient() error {
	switch {
	case r.report.Manifest:
		return nil
	case r.report.Receipts:
		if r.checker.problems.count() == 0 {
			r.warn("the backup has no %s: its files were held against barman's own receipts only", stored.ManifestName)
		}
		return nil
	case r.checker.problems.count() > 0:
		return nil
	case r.local != "":
		return sdk.Errorf(sdk.NotFound, "it has neither a %s nor receipts, nothing tells what its files should be; "+
			"'barman generate-manifest %s %s' lists them as they are now, for later", stored.ManifestName, r.server.Name(), r.backup.ID)
	}
	return sdk.Errorf(sdk.NotFound, "it has neither a %s nor receipts, nothing tells what its files should be; generate-manifest works for plain files only", stored.ManifestName)
}

func (r *run) warn(format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(format, args...))
}

// tell tells of the progress until the returned function is called.
func (r *run) tell() (stop func()) {
	if r.request.Progress == nil {
		return func() {}
	}
	tell := func() {
		r.request.Progress(pipeline.Progress{Objects: r.checker.files.Load(), Bytes: r.checker.bytes.Load(), Expected: r.summary.Bytes})
	}
	const often = 200 * time.Millisecond
	ticker, done, ended := time.NewTicker(often), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				tell()
			case <-done:
				tell()
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-ended
	}
}

// readData reads all there is of the backup.
func (r *run) readData(ctx context.Context) error {
	if r.local != "" {
		return r.readLocal(ctx)
	}
	return r.readStored(ctx)
}

// missing names what was not found.
func (r *run) missing(ctx context.Context) error {
	if !r.checker.manifest.complete() && !r.incomplete {
		_, err := r.eachFile(ctx, func(f manifest.File) error {
			if !ignored(f.Path) && !r.checker.manifest.wasFound(f.Path) {
				r.checker.problems.add(Missing, f.Path, r.object(f.Path), "is in the manifest, but not there")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if r.checker.receipts.complete() || r.incomplete && !r.form.Tar {
		return nil
	}
	_, objects, err := r.server.Catalogue.Receipts(r.backup.ID)
	if err != nil {
		return err
	}
	for o, err := range objects {
		if err != nil {
			return err
		}
		if r.checker.receipts.wasFound(o.Name) {
			continue
		}
		file := r.path(o.Name)
		if !ignored(file) && r.checker.manifest.has(file) {
			continue // told above
		}
		r.checker.problems.add(Missing, file, o.Name, "was stored with the backup, and is not there")
	}
	return nil
}

// object is the name in the store of a file of its own; empty if there never was
// such an object, as far as is known.
func (r *run) object(path string) string {
	object := "base/" + string(r.backup.ID) + "/"
	if rest, within := strings.CutPrefix(path, "pg_tblspc/"); within {
		object += rest
	} else {
		object += "data/" + path
	}
	if object += r.form.Suffix; r.checker.receipts.has(object) {
		return object
	}
	return ""
}

// path is the path below the data directory of an object of the store; that of
// an archive is its name.
func (r *run) path(object string) string {
	rest, ours := strings.CutPrefix(object, "base/"+string(r.backup.ID)+"/")
	top, below, within := strings.Cut(rest, "/")
	if !ours || !within || r.form.Tar {
		return object
	}
	below = strings.TrimSuffix(below, r.form.Suffix)
	if _, err := strconv.ParseUint(top, 10, 32); err == nil {
		return "pg_tblspc/" + top + "/" + below
	}
	return below
}
