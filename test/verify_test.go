package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/test/pgtest"
)

// verified is what verify-backup prints as JSON.
type verified struct {
	Status   string
	Files    int
	Manifest bool
	Segments int `json:"wal_segments"`
	Problems []struct{ Kind, File string }
}

// The whole way, with the newest PostgreSQL: a backup is verified, its damage is
// named and decides the exit code, and the manifest that barman makes is one that
// PostgreSQL's own parser takes.
func TestABackupIsVerifiedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 18, Tablespaces: []string{"side"}, Config: map[string]string{"summarize_wal": "on"}}, plainFiles+receiveLZ4)
	s.Exec("CREATE TABLE there TABLESPACE side AS SELECT generate_series(1, 1000)")
	s.receive()
	id := s.backup()
	base := s.path("base", id)
	verify := func(code int, more ...string) verified {
		t.Helper()
		r := s.home.Run(append([]string{"-f", "json", "verify-backup", "main", "latest"}, more...)...)
		if r.Code != code {
			t.Fatalf("exit code %d, not %d: %s%s", r.Code, code, r.Stdout, r.Stderr)
		}
		var all struct{ Main verified }
		decode(t, r.Stdout, &all)
		return all.Main
	}
	if told := verify(0); told.Status != "OK" || told.Files < 900 || !told.Manifest || told.Segments == 0 {
		t.Errorf("%+v", told)
	}

	manifest := filepath.Join(base, "data", "backup_manifest")
	remove(t, manifest)
	s.home.Must("generate-manifest", "main", id)
	if told := verify(0); told.Status != "OK" {
		t.Errorf("against its own manifest: %+v", told)
	}
	if err := s.upload(manifest, ""); err != nil {
		t.Errorf("PostgreSQL does not take the manifest: %v", err)
	}
	if err := s.upload(manifest, "PG_VERSION"); err == nil {
		t.Error("PostgreSQL takes any manifest")
	}

	table := filepath.Join(base, strings.TrimPrefix(pgtest.One[string](s.Cluster, "SELECT pg_relation_filepath('there')"), "pg_tblspc/"))
	damage(t, table)
	wal, err := filepath.Glob(s.path("wals", "*", "0*"))
	if err != nil || len(wal) == 0 {
		t.Fatal(wal, err)
	}
	for _, segment := range wal {
		damage(t, segment)
	}
	told := verify(6)
	if told.Status != "FAILED" || len(told.Problems) < 2 || told.Problems[len(told.Problems)-1].Kind != "checksum" {
		t.Errorf("%+v", told)
	}
	if told := verify(6, "--no-parse-wal"); len(told.Problems) != 1 || !strings.HasSuffix(told.Problems[0].File, filepath.Base(table)) {
		t.Errorf("without WAL: %+v", told)
	}
}

// upload sends a manifest to the server as pg_basebackup does for an incremental
// backup, with one word of it changed.
func (s *site) upload(path, changed string) error {
	s.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(content)
	if changed != "" {
		text = strings.Replace(text, changed, strings.ToLower(changed), 1)
	}
	conn, err := pgconn.Connect(s.t.Context(), s.ReplicationConninfo("postgres")+" replication=true")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	_, err = conn.CopyFrom(s.t.Context(), strings.NewReader(text), "UPLOAD_MANIFEST")
	return err
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Debian's barman and ours have one catalogue, of a backup that ours took: they
// list the same files in the same order, each verifies it against the other's
// manifest, and both find the damage.
func TestDebiansBarmanVerifiesAndListsLikeOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, plainFiles+receiveLZ4)
	s.receive()
	id := s.backup()
	config := filepath.Join(pgtest.Scratch(t), "barman.conf")
	text := fmt.Sprintf("[barman]\nbarman_home = %s\nbarman_user = root\nlog_file = %s.log\n[main]\ndescription = Main\nconninfo = host=127.0.0.1 port=1\n"+
		"streaming_conninfo = host=127.0.0.1 port=1\nbackup_method = postgres\narchiver = on\npath_prefix = %s\n",
		s.home.Dir, config, filepath.Dir(pgtest.Tool(t, 15, "pg_verifybackup")))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	python := func(args ...string) pgtest.Result {
		return pgtest.Run(t, exec.CommandContext(t.Context(), debian(t, "barman"), append([]string{"-c", config}, args...)...))
	}
	for _, target := range []string{"data", "standalone", "wal", "full"} {
		ours, theirs := s.home.Must("list-files", "main", "latest", "--target", target), python("list-files", "main", "latest", "--target", target)
		if theirs.Code != 0 || ours != theirs.Stdout {
			t.Errorf("%s: %d and %d lines, exit code %d\n%s", target, strings.Count(ours, "\n"), strings.Count(theirs.Stdout, "\n"), theirs.Code, theirs.Stderr)
		}
	}
	manifest := filepath.Join(s.path("base", id), "data", "backup_manifest")
	remove(t, manifest)
	s.home.Must("generate-manifest", "main", id)
	if theirs := python("verify-backup", "main", id); theirs.Code != 0 {
		t.Errorf("against our manifest: %+v", theirs)
	}
	s.home.Must("verify-backup", "main", id)
	remove(t, manifest)
	remove(t, s.path("base", id, "barman-objects.jsonl"))
	if theirs := python("generate-manifest", "main", id); theirs.Code != 0 {
		t.Fatalf("%+v", theirs)
	}
	if theirs := python("verify-backup", "main", id); theirs.Code != 0 {
		t.Errorf("against their own manifest: %+v", theirs)
	}
	s.home.Must("verify-backup", "main", id)
	damage(t, s.path("base", id, "data", "global", "pg_control"))
	ours, theirs := s.home.Run("verify-backup", "main", id), python("verify-backup", "main", id)
	if ours.Code != 6 || theirs.Code == 0 || !strings.Contains(ours.Stdout, "global/pg_control") || !strings.Contains(theirs.Stderr, "global/pg_control") {
		t.Errorf("%+v, %+v", ours, theirs)
	}
}
