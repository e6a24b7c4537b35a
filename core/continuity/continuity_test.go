package continuity

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/internal/plugintest"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

func TestMain(m *testing.M) {
	os.Exit(plugintest.Main(m, "plugins/sink-posix", "core/fetch/testdata/inverted"))
}

const historyText = "1\t0/4000100\tno recovery target specified\n"

// promoted is a server with a backup of timeline 1, whose WAL is to lead to
// timeline 2.
func promoted(t *testing.T, blocks string) *plugintest.Server {
	t.Helper()
	s := plugintest.NewServer(t, blocks)
	b, err := s.Catalogue.Create(time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	b.State, b.BeginWAL, b.EndWAL, b.EndLSN, b.Timeline = catalogue.StateDone, "000000010000000000000002", "000000010000000000000002", 0x2000100, 1
	b.BeginTime, b.EndTime = time.Unix(1000, 0), time.Unix(1001, 0)
	if err := s.Catalogue.Save(b); err != nil {
		t.Fatal(err)
	}
	return s
}

// archived are the segments of the tests but the missing one.
var archived = []string{"000000010000000000000002", "000000010000000000000003", "000000020000000000000004", "000000020000000000000006"}

const missing = "000000020000000000000005"

func parsed(t *testing.T, name string) wal.Name {
	t.Helper()
	n, err := wal.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
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

func check(t *testing.T, s *plugintest.Server) Report {
	t.Helper()
	report, err := Check(t.Context(), s.Server)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAHistoryThatATransformEncryptedIsFollowed(t *testing.T) {
	s := promoted(t, "wal {\n archive = true\n transform \"inverted\" {}\n sink \"posix\" {}\n}")
	for _, name := range archived {
		write(t, s.Catalogue.WALPath(parsed(t, name)), []byte("x"))
	}
	inverted := []byte(historyText)
	for i := range inverted {
		inverted[i] = ^inverted[i]
	}
	write(t, s.Catalogue.WALPath(parsed(t, "00000002.history")), inverted)
	report := check(t, s)
	if report.String() != "segment "+missing+" is missing" || len(report.Unread) != 0 {
		t.Errorf("%s, %v", report, report.Unread)
	}

	// Who has no pipeline, as a listing, is told.
	s.Server.Engine = nil
	timelines, unread := Timelines(t.Context(), s.Server)
	if len(timelines) != 0 || len(unread) != 1 || !strings.Contains(unread[0].Error(), "00000002.history") || sdk.KindOf(unread[0]) != sdk.Corrupt {
		t.Error(timelines, unread)
	}
}

func TestWALThatIsStoredElsewhereIsLookedForInItsIndex(t *testing.T) {
	elsewhere := t.TempDir()
	s := promoted(t, fmt.Sprintf("wal {\n archive = true\n sink \"posix\" { path = %q }\n}", elsewhere))
	for _, name := range append(archived, "00000002.history") {
		if err := s.Catalogue.Append(t.Context(), catalogue.WALRecord{Name: parsed(t, name), Size: 1, ModTime: time.Unix(1002, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	var zipped bytes.Buffer
	z, err := codec.NewWriter(codec.Gzip, "", &zipped)
	if err == nil {
		_, err = io.WriteString(z, historyText)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(elsewhere, "wals", "00000002.history"), zipped.Bytes())
	report := check(t, s)
	if report.String() != "segment "+missing+" is missing" || len(report.Unread) != 0 {
		t.Errorf("%s, %v", report, report.Unread)
	}
}

func TestAnArchiveWithoutAnyWALIsMoreLikelyNotThere(t *testing.T) {
	s := promoted(t, "wal {\n archive = true\n sink \"posix\" {}\n}")
	if err := os.RemoveAll(s.Catalogue.Layout().WALsDirectory); err != nil {
		t.Fatal(err)
	}
	if report := check(t, s); !strings.Contains(report.String(), "is its file system mounted?") || len(report.Gaps) != 1 {
		t.Errorf("%s: %+v", report, report.Gaps)
	}
}

// Files move from where they arrive into the archive, in order, and backups are
// deleted with their WAL: neither is a gap.
func TestWhatOthersMoveAndDeleteIsNoGap(t *testing.T) {
	const n = 400
	s := promoted(t, "wal {\n archive = true\n sink \"posix\" {}\n}")
	segment := func(i uint64) wal.Name {
		return parsed(t, wal.Segment{Timeline: 1, Number: i}.Name(wal.DefaultSegmentSize))
	}
	later, err := s.Catalogue.Create(time.Unix(2000, 0))
	if err != nil {
		t.Fatal(err)
	}
	later.State, later.BeginWAL, later.EndWAL, later.Timeline = catalogue.StateDone, segment(n/2).String(), segment(n/2).String(), 1
	if err := s.Catalogue.Save(later); err != nil {
		t.Fatal(err)
	}
	received := func(i uint64) string {
		return filepath.Join(s.Catalogue.Layout().StreamingDirectory, segment(i).String())
	}
	for i := uint64(2); i <= n; i++ {
		write(t, received(i), []byte("x"))
	}
	for _, i := range []uint64{0, 256} {
		if err := os.MkdirAll(filepath.Dir(s.Catalogue.WALPath(segment(i))), 0o700); err != nil {
			t.Fatal(err)
		}
	}

	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for i := uint64(2); i <= n; i++ {
				if err := os.Rename(received(i), s.Catalogue.WALPath(segment(i))); err != nil {
					return err
				}
			}
			b, err := s.Catalogue.Resolve(catalogue.ShortcutOldest)
			if err != nil {
				return err
			}
			b.State = catalogue.StateFailed
			if err := s.Catalogue.Save(b); err != nil {
				return err
			}
			for i := uint64(2); i < n/2; i++ {
				if err := os.Remove(s.Catalogue.WALPath(segment(i))); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	for {
		if report := check(t, s); len(report.Gaps) > 0 {
			t.Fatalf("%s: %+v", report, report.Gaps)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
