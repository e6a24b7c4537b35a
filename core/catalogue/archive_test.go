package catalogue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestWALPathsAreBarmans(t *testing.T) {
	s := newServer(t)
	for name, want := range map[string]string{
		"00000001000000020000000A":                 "0000000100000002/00000001000000020000000A",
		"00000001000000020000000A.partial":         "0000000100000002/00000001000000020000000A.partial",
		"00000001000000020000000A.00000028.backup": "0000000100000002/00000001000000020000000A.00000028.backup",
		"00000002.history":                         "00000002.history",
	} {
		if got := s.WALPath(walName(t, name)); got != filepath.Join(s.Layout().WALsDirectory, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func archived(t *testing.T, s *Server) []string {
	t.Helper()
	var names []string
	for f, err := range s.WALFiles() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name.String())
	}
	return names
}

func TestOnlyWALFilesWhereTheyBelongAreListed(t *testing.T) {
	s := newServer(t)
	want := []string{"00000001000000000000000A", "00000001000000000000000A.00000028.backup", "00000001000000000000000B.partial", "000000010000000100000000",
		"00000002.history", "00000002000000010000000F"}
	addWAL(t, s, want...)
	wals := s.Layout().WALsDirectory
	for _, path := range []string{"xlog.db", "00000003.history.tmp", "00000001000000000000000C", "0000000100000000/00000001000000000000000A.tmp",
		"0000000100000000/00000003.history", "0000000100000000/000000010000000500000000", "0000000100000000/.hidden", "notahashdir/00000001000000000000000C"} {
		write(t, filepath.Join(wals, path), "x")
	}
	if d := cmp.Diff(want, archived(t, s)); d != "" {
		t.Error(d)
	}
	if got := archived(t, &Server{layout: Layout{}.Default("/nonexistent", "main")}); got != nil {
		t.Error(got)
	}
}

func TestHasWALWantsARegularFileWithContent(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "00000001000000000000000A")
	write(t, s.WALPath(walName(t, "00000001000000000000000B")), "")
	if err := os.Symlink("00000001000000000000000A", s.WALPath(walName(t, "00000001000000000000000C"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.WALPath(walName(t, "00000001000000000000000D")), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"00000001000000000000000A": true, "00000001000000000000000B": false, "00000001000000000000000C": false,
		"00000001000000000000000D": false, "00000001000000000000000E": false, "000000010000000900000000": false, "00000002.history": false} {
		if got, err := s.HasWAL(walName(t, name)); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestNewestSegmentOfEachTimeline(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "0000000100000000000000FF", "000000010000000100000003", "000000010000000100000004.partial", "000000010000000100000005.00000028.backup",
		"00000002000000010000000A", "00000003.history", "0000000B0000000000000001")
	write(t, s.WALPath(walName(t, "000000010000000100000009")), "")
	if err := os.Mkdir(filepath.Join(s.Layout().WALsDirectory, "0000000100000005"), 0o700); err != nil {
		t.Fatal(err)
	}
	newest, err := s.NewestPerTimeline()
	if err != nil {
		t.Fatal(err)
	}
	got := map[wal.Timeline]string{}
	for tli, name := range newest {
		got[tli] = name.String()
	}
	want := map[wal.Timeline]string{1: "000000010000000100000003", 2: "00000002000000010000000A", 11: "0000000B0000000000000001"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if tli, err := s.LatestTimeline(); err != nil || tli != 11 {
		t.Error(tli, err)
	}
	addWAL(t, s, "0000000C.history")
	if tli, err := s.LatestTimeline(); err != nil || tli != 12 {
		t.Error(tli, err)
	}
	if tli, err := newServer(t).LatestTimeline(); err != nil || tli != 0 {
		t.Error(tli, err)
	}
}

func TestLinkInPlaceOfAHashDirectoryIsDamage(t *testing.T) {
	s := newServer(t)
	addWAL(t, s, "00000001000000000000000A")
	if err := os.Symlink("/etc", filepath.Join(s.Layout().WALsDirectory, "0000000100000001")); err != nil {
		t.Fatal(err)
	}
	_, err := s.NewestPerTimeline()
	wantKind(t, err, sdk.Corrupt, "main", "0000000100000001")
	var last error
	for _, err := range s.WALFiles() {
		last = err
	}
	wantKind(t, last, sdk.Corrupt)
}

func TestEncryptionIsKnownByContent(t *testing.T) {
	for content, want := range map[string]string{
		"\x85\x02\x0c\x03rest": "gpg", "\x84\x5e\x03\x12": "gpg", "\x8c\x0d\x04\x09": "gpg", "\xc1\x5e\x03x": "gpg", "-----BEGIN PGP MESSAGE-----\n": "gpg",
		"\x10\xd1\x02\x00": "", "\x1f\x8b\x08\x00": "", "": "", "\x85": "", "\x85\x00\x00\x99": "", strings.Repeat("\x00", 32): "",
	} {
		if got := detectEncryption([]byte(content)); got != want {
			t.Errorf("%q: %q, expected %q", content, got, want)
		}
	}
}
