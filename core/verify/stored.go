package verify

import (
	"bufio"
	"context"
	"hash/crc32"
	"io"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/manifest"
)

// readStored reads a backup through the pipeline: decoded, as it would be
// restored. When something cannot be decoded, what is stored is read once more
// as it is: its receipts tell which objects are damaged.
func (r *run) readStored(ctx context.Context) error {
	runs := [][]host.Selection{r.form.Selections}
	if r.form.Tar {
		// One by one: that one archive is damaged says nothing of the others.
		runs = runs[:0]
		for _, s := range r.form.Selections {
			runs = append(runs, []host.Selection{s})
		}
	}
	broken := false
	for _, selections := range runs {
		err := r.server.Engine.Read(ctx, r.line, selections, func(ctx context.Context, o sdk.Object, content io.Reader) error {
			return r.storedObject(ctx, selections, o, content)
		})
		switch kind := sdk.KindOf(err); {
		case err == nil:
		case kind == sdk.Corrupt, kind == sdk.NotFound:
			broken, r.incomplete = true, true
			r.checker.problems.add(Damaged, strings.TrimSuffix(selections[0].Name, "/"), "", "cannot be read: %v", err)
		default:
			return err
		}
	}
	if broken && r.report.Receipts {
		return r.readRaw(ctx)
	}
	return nil
}

// storedObject takes an object from the pipeline.
func (r *run) storedObject(ctx context.Context, selections []host.Selection, o sdk.Object, content io.Reader) error {
	name := r.objectName(selections, o.Name)
	if content == nil || o.Kind == sdk.KindDirectory || o.Kind == sdk.KindSymlink {
		r.checker.receipts.find(name)
		return nil
	}
	if !isArchive(selections, o) {
		err := r.checker.file(ctx, found{path: o.Name, object: name, size: sdk.SizeUnknown}, content)
		if err != nil {
			return err
		}
		return drain(content)
	}
	receipt, known, _ := r.checker.receipts.find(name)
	sum := &summed{r: content}
	if err := r.archive(ctx, o.Name, name, bufio.NewReaderSize(sum, bufferSize)); err != nil {
		return err
	}
	if err := drain(sum); err != nil {
		return err
	}
	if known {
		r.checker.object(name, "", receipt, sum.size, sum.crc)
	}
	return nil
}

// isArchive tells whether an object is one of the tar files that were selected.
func isArchive(selections []host.Selection, o sdk.Object) bool {
	for _, s := range selections {
		if s.Tar && s.Rename == o.Name {
			return true
		}
	}
	return false
}

// objectName is the name in the store of an object on its way.
func (r *run) objectName(selections []host.Selection, name string) string {
	best := host.Selection{}
	for _, s := range selections {
		switch {
		case !s.Prefix && s.Rename == name:
			return s.Name
		case s.Prefix && strings.HasPrefix(name, s.Rename) && (best.Name == "" || len(s.Rename) > len(best.Rename)):
			best = s
		}
	}
	object := best.Name + strings.TrimPrefix(name, best.Rename)
	if r.form.Suffix != "" && !r.checker.receipts.has(object) {
		object += r.form.Suffix
	}
	return object
}

// summed remembers size and CRC-32C of what is read.
type summed struct {
	r    io.Reader
	size int64
	crc  uint32
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.size += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	return n, err
}

// readRaw reads what is stored as it is, and holds it against the receipts.
func (r *run) readRaw(ctx context.Context) error {
	_, objects, err := r.server.Catalogue.Receipts(r.backup.ID)
	if err != nil {
		return err
	}
	raw := &checker{receipts: newIndex()}
	for o, err := range objects {
		if err != nil {
			return err
		}
		raw.receipts.add(o.Name, o.StoredSize, manifest.CRC32C, crcBytes(uint32(o.StoredCRC32C)))
	}
	raw.receipts.seal()
	line := r.line
	line.Transforms = nil
	var selections []host.Selection
	for _, s := range r.form.Selections {
		selections = append(selections, host.Selection{Name: s.Name, Prefix: s.Prefix, Rename: s.Name})
	}
	return r.server.Engine.Read(ctx, line, selections, func(ctx context.Context, o sdk.Object, content io.Reader) error {
		receipt, known, _ := raw.receipts.find(o.Name)
		if content == nil || !known {
			return nil
		}
		size, crc, _, err := raw.read(ctx, content, sdk.SizeUnknown, nil)
		if err != nil {
			return err
		}
		before := raw.problems.count()
		raw.object(o.Name, o.Name, receipt, size, crc)
		if raw.problems.count() > before {
			p := raw.problems.found[len(raw.problems.found)-1]
			r.checker.problems.add(p.Kind, p.File, p.Object, "%s", p.Text)
		}
		return nil
	})
}
