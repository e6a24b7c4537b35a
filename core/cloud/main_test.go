package cloud

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/pipeline"
)

func TestMain(m *testing.M) { os.Exit(plugintest.Main(m, "plugins/sink-posix", "plugins/compress")) }

// place is a server's place in a sink whose objects are files, by their names.
type place struct {
	*Store
	t    *testing.T
	root string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, root: t.TempDir()}
	sink := pipeline.Stage{Kind: "sink", Name: "posix", Settings: pipeline.Values{"path": p.root, "fsync": false}}
	var err error
	if p.Store, err = In(plugintest.NewEngine(t).Engine, sink, "main"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) read(name string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.root, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

// day is the ID of a backup of a day of January 2026.
func day(n int) catalogue.BackupID { return catalogue.BackupID(fmt.Sprintf("202601%02dT000000", n)) }

func segment(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

// backup is a complete backup of a day with the WAL of two segments.
func (p *place) backup(n, begin int, change ...func(*catalogue.Backup)) {
	p.t.Helper()
	at := time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC)
	b := &catalogue.Backup{
		ID: day(n), Server: "cloud", State: catalogue.StateDone, Timeline: 1, BeginWAL: segment(begin), EndWAL: segment(begin + 1),
		BeginTime: at, EndTime: at.Add(time.Hour),
	}
	for _, f := range change {
		f(b)
	}
	content, err := catalogue.FormatInfo(b)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(catalogue.InfoObject(b.ID), string(content))
	p.write(catalogue.BackupPrefix(b.ID)+"data/base.tar", "data")
	p.write(catalogue.BackupPrefix(b.ID)+"data/16400.tar", "tablespace")
}

func (p *place) archive(from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.write("wals/0000000100000000/"+segment(n), "wal")
	}
}

// want checks which objects there are.
func (p *place) want(names ...string) {
	p.t.Helper()
	var got []string
	err := filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(path, p.root+"/"))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(names)
	slices.Sort(got)
	if diff := cmp.Diff(names, got); diff != "" {
		p.t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// whole are the objects of a complete backup of a day.
func whole(days ...int) []string {
	var names []string
	for _, n := range days {
		prefix := catalogue.BackupPrefix(day(n))
		names = append(names, prefix+"backup.info", prefix+"data/base.tar", prefix+"data/16400.tar")
	}
	return names
}

func segments(from, to int) []string {
	var names []string
	for n := from; n <= to; n++ {
		names = append(names, "wals/0000000100000000/"+segment(n))
	}
	return names
}
