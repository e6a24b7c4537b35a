package cloud

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

// receipts are what is noted of a backup's objects: a line for each, of which there
// are few.
type receipts struct {
	lines  bytes.Buffer
	stored int64
}

// newReceipts begins with the stages of the pipeline.
func newReceipts(line pipeline.Line) *receipts {
	h := catalogue.ReceiptsHeader{Format: catalogue.ReceiptsFormat, Program: "barman " + version.Version}
	for _, s := range append(append([]pipeline.Stage{line.Source}, line.Transforms...), line.Sinks...) {
		h.Chain = append(h.Chain, catalogue.ChainStage{Kind: s.Kind, Name: s.Name})
	}
	r := new(receipts)
	r.line(h)
	return r
}

// line adds a value that JSON can express.
func (r *receipts) line(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a mistake in this program
	}
	r.lines.Write(append(text, '\n'))
}

func (r *receipts) keep(arrived []sdk.Receipt) error {
	for _, a := range arrived {
		r.stored += a.Size
		r.line(catalogue.ObjectReceipt{
			Name: a.Name, Size: a.SourceSize, CRC32C: catalogue.Checksum(a.SourceCRC32C), StoredSize: a.Size, StoredCRC32C: catalogue.Checksum(a.CRC32C),
		})
	}
	return nil
}

func (r *receipts) text() []byte { return r.lines.Bytes() }

// receiptsOf reads what was noted of a backup's objects, by their names. A backup
// that another program took has nothing noted; it is nil then.
func (s *Store) receiptsOf(ctx context.Context, sink *pipeline.Sink, id catalogue.BackupID) (map[string]catalogue.ObjectReceipt, error) {
	name := catalogue.ReceiptsObject(id)
	found, err := readSmall(ctx, sink, []string{name})
	if sdk.KindOf(err) == sdk.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, err := parseReceipts(found[name])
	if err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "%s: %w; without this object the backup is still usable, but its checksums are not known", name, err)
	}
	return known, nil
}

func parseReceipts(content []byte) (map[string]catalogue.ObjectReceipt, error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<20)
	var header catalogue.ReceiptsHeader
	if !lines.Scan() {
		return nil, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(lines.Bytes(), &header); err != nil {
		return nil, err
	}
	if header.Format > catalogue.ReceiptsFormat {
		return nil, sdk.Errorf(sdk.Invalid, "it has format %d, this program reads up to %d", header.Format, catalogue.ReceiptsFormat)
	}
	known := map[string]catalogue.ObjectReceipt{}
	for lines.Scan() {
		var r catalogue.ObjectReceipt
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		known[r.Name] = r
	}
	return known, lines.Err()
}
