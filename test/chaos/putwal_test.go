//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/barman-go/barman/core/delivery"
	"github.com/barman-go/barman/test/chaos"
)

// delivering is "barman put-wal" of one file that is new, one whose beginning is
// there from a copy that was interrupted, and one that is there already.
type delivering struct {
	archiving
	before map[string][]byte // what is there
}

func newDelivering(t *testing.T) *delivering {
	d := &delivering{archiving: archiving{place: newPlace(t), hcl: fmt.Sprintf(walServer, "")}}
	name := func(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }
	d.delivered = map[string][]byte{name(1): segment(1), name(2): segment(2), name(3): segment(3)}
	d.before = map[string][]byte{name(2): segment(2)[:100000], name(3): segment(3)}
	return d
}

func (d *delivering) prepare() error {
	if err := d.clear(d.hcl); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path("home/main/incoming"), 0o700); err != nil {
		return err
	}
	for name, content := range d.before {
		if err := os.WriteFile(d.path("home/main/incoming", name), content, 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(d.path("to"), 0o700); err != nil {
		return err
	}
	stream, err := os.Create(d.path("to/stream"))
	if err != nil {
		return err
	}
	defer stream.Close()
	var files []delivery.File
	for _, name := range slices.Sorted(maps.Keys(d.delivered)) {
		content := d.delivered[name]
		files = append(files, delivery.File{Name: name, Size: int64(len(content)), ModTime: modified, Content: bytes.NewReader(content)})
	}
	return delivery.Write(stream, delivery.SHA256, files...)
}

func (d *delivering) command() chaos.Command {
	c := d.barman("put-wal", "main")
	c.Stdin = d.path("to/stream")
	return c
}

// check: a file is there as it was before or whole, and whole if that was said.
func (d *delivering) check(o chaos.Outcome) error {
	for name, whole := range d.delivered {
		got, err := os.ReadFile(d.path("home/main/incoming", name))
		before, wasThere := d.before[name]
		switch {
		case err == nil && bytes.Equal(got, whole):
		case o.Code == 0:
			return fmt.Errorf("it says that all is well, and %s holds %d bytes of %d (%v)", name, len(got), len(whole), err)
		case os.IsNotExist(err) && !wasThere:
		case err == nil && wasThere && bytes.Equal(got, before):
		default:
			return fmt.Errorf("%s holds %d bytes, neither what was there nor what was sent (%v)", name, len(got), err)
		}
	}
	return nil
}

func (d *delivering) next() error {
	if err := execute(d.command()); err != nil {
		return err
	}
	if err := d.check(chaos.Outcome{}); err != nil {
		return err
	}
	left, err := os.ReadDir(d.path("home/main/incoming"))
	if err != nil {
		return err
	}
	if len(left) != len(d.delivered) {
		return fmt.Errorf("in incoming: %v", left)
	}
	if err := d.run("archive-wal", "main"); err != nil {
		return err
	}
	archived, err := d.archived()
	if err != nil {
		return err
	}
	if !maps.EqualFunc(archived, d.delivered, bytes.Equal) {
		return fmt.Errorf("archived are %v", slices.Sorted(maps.Keys(archived)))
	}
	entries, err := os.ReadDir(d.path("home/main/errors"))
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("in errors: %v", entries)
	}
	return err
}

func TestChaosOfPutWAL(t *testing.T) { walk(t, newDelivering(t)) }
