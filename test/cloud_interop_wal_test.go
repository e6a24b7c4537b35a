package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/storetest"
)

// cloudCodecs are the options of barman-cloud-wal-archive and -backup, for the
// codecs that both programs know, and the suffixes of what they write.
var cloudCodecs = []struct{ name, option, suffix string }{
	{"none", "", ""}, {"gzip", "--gzip", ".gz"}, {"bzip2", "--bzip2", ".bz2"}, {"snappy", "--snappy", ".snappy"},
}

// codecOptions are the options for one of cloudCodecs.
func codecOptions(option string) []string {
	if option == "" {
		return nil
	}
	return []string{option}
}

// walFile writes a file that could be one of pg_wal, and returns its path.
func walFile(t *testing.T, directory, name string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, bytes.Repeat([]byte("the WAL of "+name+" "), 40_000), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fetches restores a WAL file and compares it with the one that was archived.
func (c cloud) fetches(by cloudProgram, archived string, options ...string) {
	c.t.Helper()
	name := filepath.Base(archived)
	to := filepath.Join(c.t.TempDir(), "RECOVERYXLOG")
	if r := c.run(by, "wal-restore", options, name, to); r.Code != 0 {
		c.t.Errorf("%s of %s by %s: %+v", name, c.server, by.name, r)
		return
	}
	want, err := os.ReadFile(archived)
	if err != nil {
		c.t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		c.t.Errorf("%s of %s by %s: %d bytes, error %v; want the %d that were archived", name, c.server, by.name, len(got), err, len(want))
	}
}

func TestEachCloudProgramFetchesTheWALThatTheOtherArchived(t *testing.T) {
	t.Parallel()
	for _, provider := range []storetest.Provider{storetest.S3, storetest.Azure} {
		t.Run(string(provider), func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, provider)
			source := t.TempDir()
			for i, codec := range cloudCodecs {
				options := codecOptions(codec.option)
				name := fmt.Sprintf("0000000100000000000000%02X", i+1)
				path := walFile(t, source, name)
				c.of("theirs").must(debiansCloud, "wal-archive", options, path)
				c.of("theirs").fetches(oursCloud, path)
				c.of("ours").must(oursCloud, "wal-archive", options, path)
				c.of("ours").fetches(debiansCloud, path)
			}
			for _, name := range []string{"00000002.history", "0000000100000000000000A0.00000028.backup", "0000000100000000000000B0.partial"} {
				path := walFile(t, source, name)
				c.of("theirs").must(debiansCloud, "wal-archive", []string{"--gzip"}, path)
				c.of("ours").must(oursCloud, "wal-archive", []string{"--gzip"}, path)
			}
			c.of("theirs").fetches(oursCloud, filepath.Join(source, "00000002.history"))
			c.of("ours").fetches(debiansCloud, filepath.Join(source, "00000002.history"))
			if diff := cmp.Diff(c.of("theirs").keys(), c.of("ours").keys()); diff != "" {
				t.Errorf("keys of Debian's (-) and ours (+):\n%s", diff)
			}
		})
	}
}

// What both programs say when asked for a segment that is not there, and when
// they may use an archive.
func TestBothCloudProgramsEndAlikeAboutWAL(t *testing.T) {
	t.Parallel()
	c := newCloud(t, storetest.S3)
	used := c.of("used")
	used.must(debiansCloud, "wal-archive", []string{"--gzip"}, walFile(t, t.TempDir(), "000000020000000000000007"))
	to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	for _, tc := range []struct {
		what    string
		on      cloud
		command string
		options []string
		rest    []string
		want    int
	}{
		{"a segment that is not there", used, "wal-restore", nil, []string{"000000020000000000000008", to}, 1},
		{"a history file that is not there", used, "wal-restore", nil, []string{"00000003.history", to}, 1},
		{"a name that is none of WAL", used, "wal-restore", nil, []string{"segment", to}, 3},
		{"a file that is none of WAL", used, "wal-archive", nil, []string{walFile(t, t.TempDir(), "segment")}, 3},
		{"a file that is not there", used, "wal-archive", nil, []string{"/nowhere/000000020000000000000008"}, 4},
		{"an option that is not there", used, "wal-archive", []string{"--nonsense"}, []string{to}, 3},
		{"the archive of a new server", c.of("unused"), "check-wal-archive", nil, nil, 0},
		{"the archive of another server", used, "check-wal-archive", nil, nil, 1},
		{"an archive of this timeline", used, "check-wal-archive", []string{"--timeline", "2"}, nil, 1},
		{"an archive of older timelines", used, "check-wal-archive", []string{"--timeline", "3"}, nil, 0},
		{"the connection", used, "check-wal-archive", []string{"--test"}, nil, 0},
	} {
		for _, by := range []cloudProgram{debiansCloud, oursCloud} {
			if r := tc.on.run(by, tc.command, tc.options, tc.rest...); r.Code != tc.want {
				t.Errorf("%s: %s ends with %d, want %d\n%s%s", tc.what, by.name, r.Code, tc.want, r.Stdout, r.Stderr)
			}
		}
	}
}
