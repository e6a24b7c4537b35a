package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/test/pgtest"
)

// Exit codes of barman.
const (
	exitFailed      = 1
	exitUnavailable = 2
)

// refusal is what a command that a server does not let do its work must say.
type refusal struct {
	command []string
	codes   []int
	says    []string
}

// want runs the command and fails the test unless it fails as it should and
// leaves nothing but FAILED backups without data.
func (s *site) want(r refusal) {
	s.t.Helper()
	name := "barman " + strings.Join(r.command, " ")
	got := s.home.Run(r.command...)
	wanted := false
	for _, code := range r.codes {
		wanted = wanted || got.Code == code
	}
	if !wanted {
		s.t.Errorf("%s: exit code %d, want one of %v\n%s%s", name, got.Code, r.codes, got.Stdout, got.Stderr)
	}
	for _, text := range r.says {
		if !strings.Contains(got.Stderr, text) {
			s.t.Errorf("%s does not say %q:\n%s", name, text, got.Stderr)
		}
	}
	if strings.Contains(got.Stderr+got.Stdout, "secret") || strings.Contains(got.Stderr+got.Stdout, "not it") {
		s.t.Errorf("%s shows a password:\n%s%s", name, got.Stdout, got.Stderr)
	}
	for _, b := range s.backups() {
		if b.Status != "FAILED" {
			s.t.Errorf("%s left backup %s as %s", name, b.ID, b.Status)
		}
		if left := bytesBelow(s.t, s.path("base", b.ID, "data")); left != 0 {
			s.t.Errorf("%s left %d bytes of backup %s", name, left, b.ID)
		}
	}
}

func (s *site) connectAs(management, streaming, blocks string) {
	s.t.Helper()
	s.home.Configure(fmt.Sprintf("server \"main\" {\n  conninfo = %q\n  streaming_conninfo = %q\n%s}\n", management, streaming, blocks))
}

func TestAServerThatCannotBeReachedIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	s := &site{Cluster: &pgtest.Cluster{}, t: t, home: pgtest.NewHome(t, "")}
	nobody := "host=127.0.0.1 port=1 user=barman connect_timeout=5"
	s.connectAs(nobody+" dbname=postgres", nobody, zstdTar+receiveLZ4)
	says := []string{"127.0.0.1", "refused", "listen_addresses"}
	s.want(refusal{command: []string{"backup", "main"}, codes: []int{exitUnavailable}, says: says})
	s.want(refusal{command: []string{"check", "main"}, codes: []int{exitFailed}})
	if len(s.backups()) != 0 {
		t.Errorf("an unreachable server has backups: %v", s.backups())
	}
}

func TestAServerThatRefusesIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 17, Auth: "scram-sha-256", Config: map[string]string{"max_wal_senders": "2", "max_replication_slots": "1"}}, "")
	management := s.ConninfoAs("barman") + " password=barman dbname=postgres"
	streaming := s.ReplicationConninfo("streaming_barman") + " password=barman"
	backup, receive := []string{"backup", "main"}, []string{"receive-wal", "main"}

	t.Run("wrong password", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(strings.Replace(management, "password=barman", "password='not it'", 1), streaming, zstdTar+receiveLZ4)
		s.want(refusal{backup, []int{exitFailed}, []string{"password", ".pgpass"}})
		s.connectAs(management, strings.Replace(streaming, "password=barman", "password='not it'", 1), zstdTar+receiveLZ4)
		s.want(refusal{backup, []int{exitFailed}, []string{"password", ".pgpass", `source "pgbasebackup"`}})
		s.want(refusal{receive, []int{exitFailed}, []string{"password", ".pgpass"}})
	})
	t.Run("no replication privilege", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, s.ReplicationConninfo("barman")+" password=barman", zstdTar+receiveLZ4)
		s.want(refusal{backup, []int{exitFailed}, []string{"ALTER ROLE", "REPLICATION"}})
		s.want(refusal{receive, []int{exitFailed}, []string{"ALTER ROLE", "REPLICATION"}})
	})
	t.Run("no such user", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, s.ReplicationConninfo("nobody")+" password=barman", zstdTar+receiveLZ4)
		s.want(refusal{backup, []int{exitFailed}, []string{"nobody"}})
	})
	t.Run("no free slot", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, streaming, zstdTar+receiveLZ4)
		s.Exec("SELECT pg_create_physical_replication_slot('somebody_elses')")
		s.want(refusal{receive, []int{exitUnavailable}, []string{"max_replication_slots"}})
		s.want(refusal{[]string{"receive-wal", "--create-slot", "main"}, []int{exitUnavailable}, []string{"max_replication_slots"}})
		s.Exec("SELECT pg_drop_replication_slot('somebody_elses')")
	})
	t.Run("no slot", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, streaming, zstdTar+strings.Replace(receiveLZ4, `"auto"`, `"manual"`, 1))
		s.want(refusal{receive, []int{exitFailed}, []string{"--create-slot main"}})
	})
	t.Run("no free WAL sender", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, streaming, zstdTar+receiveLZ4)
		receiver := s.receive()
		other, err := pgconn.Connect(t.Context(), streaming+" replication=true")
		if err != nil {
			t.Fatal(err)
		}
		s.want(refusal{backup, []int{exitUnavailable}, []string{"max_wal_senders"}})
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
		receiver.mustRun()
		receiver.stop()
	})
	t.Run("and once it lets barman", func(t *testing.T) {
		s := s.in(t)
		s.connectAs(management, streaming, zstdTar)
		failed := len(s.backups())
		s.home.Must("backup", "main")
		if got := s.statuses(); len(got) != failed+1 || got[failed] != "WAITING_FOR_WALS" {
			t.Errorf("backups: %q", got)
		}
	})
}

func TestAServerWithoutEnoughWALIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 18, Config: map[string]string{"wal_level": "minimal", "max_wal_senders": "0"}}, zstdTar+receiveLZ4)
	for _, command := range []string{"backup", "receive-wal", "check"} {
		got := s.home.Run(command, "main")
		if got.Code == 0 || !strings.Contains(got.Stdout+got.Stderr, "wal_level") && !strings.Contains(got.Stdout+got.Stderr, "max_wal_senders") {
			t.Errorf("barman %s: exit code %d, it speaks neither of wal_level nor of max_wal_senders:\n%s%s", command, got.Code, got.Stdout, got.Stderr)
		}
	}
	for _, b := range s.backups() {
		if b.Status != "FAILED" {
			t.Errorf("backup %s is %s", b.ID, b.Status)
		}
	}
}
