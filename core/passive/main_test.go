package passive

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// envPrimary makes the test binary answer as the barman of a primary, whose
// configuration it names.
const envPrimary = "BARMAN_TEST_PRIMARY"

func TestMain(m *testing.M) {
	if path := os.Getenv(envPrimary); path != "" {
		if err := answer(path, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "ERROR:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(plugintest.Main(m, "plugins/sink-posix"))
}

// answer is "barman sync-info main [last_wal [last_position]]".
func answer(path string, args []string) error {
	loaded, err := config.Load(path)
	if err != nil {
		return err
	}
	s, err := server.Open(loaded, loaded.Servers[0], nil, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	var after Position
	if len(args) > 2 {
		after.Name = args[2]
	}
	if len(args) > 3 {
		if after.Offset, err = strconv.ParseInt(args[3], 10, 64); err != nil {
			return err
		}
	}
	l := s.Catalogue.Layout()
	info, err := Collect(context.Background(), s, after, map[string]any{
		"backup_directory": l.BackupDirectory, "basebackups_directory": l.BasebackupsDirectory, "wals_directory": l.WALsDirectory,
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(info)
}

// pair is a primary and a passive node.
type pair struct {
	t              *testing.T
	primary, other *plugintest.Server
}

func newPair(t *testing.T, settings string) *pair {
	t.Helper()
	p := &pair{t: t, primary: plugintest.NewServer(t, "")}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", envPrimary, p.primary.Config, executable)
	if err := os.WriteFile(filepath.Join(bin, "barman"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	// An "SSH command" that leads to this host, through the same shells.
	p.other = plugintest.NewServer(t, fmt.Sprintf("  primary_ssh_command = %q\n%s", "PATH="+bin+":$PATH sh -c", settings))
	return p
}

// leads changes where the SSH command leads.
func (p *pair) leads(command string) (restore func()) {
	before := p.other.Server.Config.PrimarySSHCommand
	p.other.Server.Config.PrimarySSHCommand = command
	return func() { p.other.Server.Config.PrimarySSHCommand = before }
}

const segmentSize = 1 << 20

// archive puts a segment into a catalogue.
func (p *pair) archive(s *plugintest.Server, n int, content byte) wal.Name {
	p.t.Helper()
	name, err := wal.ParseName(segmentName(n))
	if err != nil {
		p.t.Fatal(err)
	}
	path := s.Catalogue.WALPath(name)
	write(p.t, path, []byte{content, byte(n)})
	if err := s.Catalogue.Append(p.t.Context(), catalogue.WALRecord{Name: name, Size: 2, ModTime: time.Unix(1700000000, 0)}); err != nil {
		p.t.Fatal(err)
	}
	return name
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// back puts a backup into the primary's catalogue that needs one segment.
func (p *pair) back(at time.Time, n int) catalogue.BackupID {
	p.t.Helper()
	b, err := p.primary.Catalogue.Create(at)
	if err != nil {
		p.t.Fatal(err)
	}
	size := int64(len("15\n"))
	b.State, b.BeginTime, b.EndTime, b.Timeline, b.SegmentSize, b.Version, b.Size = catalogue.StateDone, at, at, 1, segmentSize, 150000, &size
	b.BeginWAL = segmentName(n)
	b.EndWAL, b.BeginLSN, b.EndLSN = b.BeginWAL, wal.LSN(n*segmentSize+40), wal.LSN(n*segmentSize+80)
	write(p.t, filepath.Join(p.primary.Catalogue.Directory(b.ID), "data", "PG_VERSION"), []byte("15\n"))
	write(p.t, filepath.Join(p.primary.Catalogue.Directory(b.ID), "data", "it's; a file"), []byte("x"))
	if err := p.primary.Catalogue.Save(b); err != nil {
		p.t.Fatal(err)
	}
	return b.ID
}

func segmentName(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

func (p *pair) syncBackup(id catalogue.BackupID) (BackupReport, error) {
	return SyncBackup(p.t.Context(), p.other.Server, id)
}

func (p *pair) mustSync() (BackupReport, WALReport) {
	p.t.Helper()
	b, err := p.syncBackup("")
	if err != nil {
		p.t.Fatal(err)
	}
	w, err := SyncWAL(p.t.Context(), p.other.Server)
	if err != nil {
		p.t.Fatal(err)
	}
	return b, w
}

func wantKind(t *testing.T, err error, kind sdk.ErrorKind) {
	t.Helper()
	if sdk.KindOf(err) != kind {
		t.Errorf("error %v, want kind %v", err, kind)
	}
}
