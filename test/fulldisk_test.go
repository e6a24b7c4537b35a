package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

const mebibyte = 1 << 20

const diskFull = "no space left on device"

// grow gives a file system of pgtest.Tmpfs another size.
func grow(t *testing.T, directory string, size int64) {
	t.Helper()
	if err := syscall.Mount("", directory, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
}

func TestABackupOntoAFullDiskFailsAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	for _, layout := range []struct{ name, blocks string }{{"files", plainFiles}, {"tar", strings.Replace(zstdTar, "zstd", "none", 1)}} {
		t.Run(layout.name, func(t *testing.T) {
			small := pgtest.Tmpfs(t, 8*mebibyte)
			s := newSite(t, pgtest.Options{Major: 15}, "")
			s.configure(layout.blocks + fmt.Sprintf("  backup_directory = %q\n", filepath.Join(small, "main")))
			for range 2 {
				r := s.home.Run("backup", "main")
				if r.Code == 0 || !strings.Contains(r.Stderr, diskFull) || !strings.Contains(r.Stderr, `sink "posix"`) {
					t.Fatalf("exit code %d:\n%s", r.Code, r.Stderr)
				}
			}
			// Not even the metadata of the next backup fits.
			filler := fill(t, small)
			r := s.home.Run("backup", "main")
			if r.Code == 0 || !strings.Contains(r.Stderr, diskFull) {
				t.Fatalf("exit code %d:\n%s", r.Code, r.Stderr)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			for _, status := range s.statuses() {
				if status != "FAILED" {
					t.Errorf("backups: %q", s.statuses())
				}
			}
			if left := bytesBelow(t, filepath.Join(small, "main", "base")); left > mebibyte {
				t.Errorf("failed backups take %d bytes of a full disk", left)
			}
			grow(t, small, 256*mebibyte)
			s.home.Must("backup", "main")
		})
	}
}

// fill leaves no room on a file system.
func fill(t *testing.T, directory string) string {
	t.Helper()
	name := filepath.Join(directory, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return name
}

func TestAFullDiskStopsArchivingWithoutLoss(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, 64*mebibyte)
	s := newSite(t, pgtest.Options{Major: 17}, "")
	streaming := filepath.Join(pgtest.Scratch(t), "streaming")
	s.configure(zstdTar + strings.Replace(receiveLZ4, `"lz4"`, `"none"`, 1) +
		fmt.Sprintf("  backup_directory = %q\n  streaming_wals_directory = %q\n", filepath.Join(small, "main"), streaming))
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := s.receive()
	s.backup()
	for range 3 {
		w.WaitRows(20)
		s.SwitchWAL()
		w.WaitRows(20)
	}
	last := w.Stop()
	s.streamed(last.LSN)
	r := s.home.Run("archive-wal", "main")
	if r.Code == 0 || !strings.Contains(r.Stderr, diskFull) {
		t.Fatalf("exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	receiver.mustRun()
	for name, size := range files(t, filepath.Join(small, "main", "wals")) {
		if base := filepath.Base(name); len(base) == 24 && size != 16*mebibyte {
			t.Errorf("the archive holds %d bytes of %s", size, name)
		}
	}
	grow(t, small, 256*mebibyte)
	s.home.Must("archive-wal", "main")
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

// files are the sizes of the regular files below a directory, by path.
func files(t *testing.T, directory string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			found[path] = info.Size()
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAFullDiskStopsReceivingWithoutLoss(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, 10*mebibyte)
	s := newSite(t, pgtest.Options{Major: 15}, "")
	s.configure(zstdTar + receiveLZ4 + fmt.Sprintf("  streaming_wals_directory = %q\n", filepath.Join(small, "streaming")))
	s.home.Must("receive-wal", "--create-slot", "main")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	receiver := start(t, s.home.Command("receive-wal", "main"))
	s.home.Must("backup", "main")
	s.PgbenchInit(1)
	eventually(t, "the full disk is told of", func() bool { return strings.Contains(receiver.stderr.String(), diskFull) })
	grow(t, small, 128*mebibyte)
	select {
	case <-receiver.done:
		s.receive()
	default:
	}
	s.SwitchWAL()
	last := w.Stop()
	s.streamed(last.LSN)
	s.home.Must("archive-wal", "main")
	s.wantStatuses("DONE")
	c := pgtest.StartExisting(t, s.Major, s.restore("latest"), nil)
	c.WaitRecovered()
	last.Check(t, c)
}

func TestARecoveryOntoAFullDiskCannotBeStartedButRepeated(t *testing.T) {
	t.Parallel()
	small := pgtest.Tmpfs(t, 10*mebibyte)
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+receiveLZ4)
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{})
	s.receive()
	s.backup()
	last := w.Stop()
	s.streamed(last.LSN)
	directory := filepath.Join(small, "restored")
	// Room for nothing, for some of the data, for all of it but no WAL.
	for _, size := range []int64{1, 10 * mebibyte, 40 * mebibyte} {
		grow(t, small, size)
		r := s.home.Run("recover", "main", "latest", directory)
		if r.Code == 0 || !strings.Contains(r.Stderr, diskFull) {
			t.Fatalf("exit code %d with room for %d bytes:\n%s", r.Code, size, r.Stderr)
		}
		s.refusesToStart(directory)
	}
	grow(t, small, 512*mebibyte)
	s.home.Must("recover", "main", "latest", directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	last.Check(t, c)
	c.Stop(pgtest.Fast)
}
