package test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// contents are the files below a directory, with modes and checksums. Left out are
// settings, which name the directory, and WAL, which goes on coming.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root)
		if err != nil || name == "/postgresql.auto.conf" {
			return err
		}
		if name == "/barman_wal" {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[name] = info.Mode().String()
		if !info.Mode().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		found[name] += fmt.Sprintf(" %s %s", info.ModTime(), hex.EncodeToString(sum[:8]))
		if name == "/recovery.signal" || strings.HasSuffix(name, ".origin") || name == "/postgresql.conf" {
			found[name] = hex.EncodeToString(sum[:8]) // made by recovery, when it ran
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestARecoveryThatIsKilledAgainAndAgainGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, plainFiles+receiveLZ4)
	s.PgbenchInit(5)
	s.Exec("CREATE TABLE aside TABLESPACE side AS SELECT g, repeat('x', 500) AS filler FROM generate_series(1, 20000) g")
	s.receive()
	backups := map[string]string{"plain files": s.backup()}
	s.configure(zstdTar + receiveLZ4)
	backups["compressed tar files"] = s.backup()
	for name, id := range backups {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			unbroken := s.restore(id)
			directory, options := s.destination()
			command := append([]string{"-f", "json", "recover", "main", id, directory}, options...)
			total := bytesBelow(t, filepath.Dir(unbroken))
			const kills = 5
			for k := range int64(kills) {
				b := start(t, s.home.Command(command...))
				eventually(t, "more data arrives at the destination", func() bool {
					b.mustRun()
					return bytesBelow(t, filepath.Dir(directory)) > total*(k+1)/(kills+1)
				})
				b.signal(syscall.SIGKILL)
				b.noOrphans()
				s.refusesToStart(directory)
			}
			var report struct {
				Continued bool  `json:"continued"`
				Bytes     int64 `json:"kept_bytes"`
			}
			decode(t, s.home.Must(command...), &report)
			if !report.Continued || report.Bytes < total/2 {
				t.Errorf("%d of %d bytes were kept, although most had been restored: %t", report.Bytes, total, report.Continued)
			}
			if diff := cmp.Diff(contents(t, unbroken), contents(t, directory)); diff != "" {
				t.Errorf("(-unbroken +killed):\n%s", diff)
			}
			side := filepath.Join("tablespaces", "side")
			if diff := cmp.Diff(contents(t, filepath.Join(filepath.Dir(unbroken), side)), contents(t, filepath.Join(filepath.Dir(directory), side))); diff != "" {
				t.Errorf("tablespace (-unbroken +killed):\n%s", diff)
			}
			verify(t, directory)
			c := pgtest.StartExisting(t, s.Major, directory, nil)
			c.WaitRecovered()
			if rows := pgtest.One[int64](c, "SELECT count(*) FROM aside"); rows != 20000 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}
