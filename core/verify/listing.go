package verify

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/manifest"
)

// damagedManifest is the error of a manifest that cannot be relied on.
type damagedManifest struct{ error }

func (d *damagedManifest) Unwrap() error { return d.error }

// eachFile reads the manifest. A backup without one is an error of kind
// NotFound.
func (r *run) eachFile(ctx context.Context, each func(manifest.File) error) (summary manifest.Manifest, err error) {
	if r.local != "" {
		return readLocalManifest(filepath.Join(r.local, stored.ManifestName), each)
	}
	line := r.line
	line.Lanes = 1
	selection := host.Selection{Name: "base/" + string(r.backup.ID) + "/data/" + stored.ManifestName, Verbatim: r.form.Tar}
	if !r.form.Tar {
		selection.Name += r.form.Suffix
	}
	err = r.server.Engine.Read(ctx, line, []host.Selection{selection}, func(_ context.Context, _ sdk.Object, content io.Reader) (err error) {
		summary, err = readManifest(content, each)
		if drained := drain(content); drained != nil {
			return drained
		}
		return err
	})
	var damage *damagedManifest
	if sdk.KindOf(err) == sdk.Corrupt && !errors.As(err, &damage) {
		err = &damagedManifest{err} // it cannot be decoded
	}
	return summary, err
}

func readLocalManifest(path string, each func(manifest.File) error) (manifest.Manifest, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return manifest.Manifest{}, &sdk.Error{Kind: sdk.NotFound, Err: err}
	case err != nil:
		return manifest.Manifest{}, unreadable(err)
	}
	defer f.Close() // it was only read from
	info, err := f.Stat()
	if err != nil {
		return manifest.Manifest{}, err
	}
	if !info.Mode().IsRegular() {
		return manifest.Manifest{}, &damagedManifest{errors.New("it is no regular file")}
	}
	return readManifest(f, each)
}

// readManifest tells damage of the manifest from failing to read it.
func readManifest(content io.Reader, each func(manifest.File) error) (manifest.Manifest, error) {
	summary, err := manifest.Read(content, each)
	if sdk.KindOf(err) == sdk.Corrupt {
		err = &damagedManifest{err}
	}
	return summary, err
}

// drain reads what is left of an object, as who takes one from a pipeline has to.
func drain(content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}
