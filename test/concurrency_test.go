package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// exitBusy is the exit code of a command that another process keeps from its
// work.
const exitBusy = 5

func TestTheSecondOfTwoAtTheSameWorkLeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 18}, slowTar+receiveLZ4)
	s.receive()
	if r := s.home.Run("receive-wal", "main"); r.Code != exitBusy {
		t.Errorf("a second receive-wal: exit code %d, want %d\n%s", r.Code, exitBusy, r.Stderr)
	}
	first := s.backupInTheMiddle()
	if r := s.home.Run("backup", "main"); r.Code != exitBusy {
		t.Errorf("a second backup: exit code %d, want %d\n%s", r.Code, exitBusy, r.Stderr)
	}
	if got := s.statuses(); len(got) != 1 || got[0] != "STARTED" {
		t.Errorf("while the backup runs the backups are %q", got)
	}
	if r := first.end(); r.Code != 0 {
		t.Fatalf("the first backup: exit code %d\n%s", r.Code, r.Stderr)
	}
	s.home.Must("archive-wal", "main")
	s.wantStatuses("DONE")

	directory, _ := s.destination()
	recovering := start(t, s.home.Command("recover", "main", "latest", directory))
	eventually(t, "the destination is there", func() bool {
		_, err := os.Stat(filepath.Join(directory, "postmaster.pid"))
		return err == nil
	})
	second := s.home.Run("recover", "main", "latest", directory)
	if r := recovering.end(); r.Code != 0 {
		t.Fatalf("the first recovery: exit code %d\n%s", r.Code, r.Stderr)
	}
	// It is no failure of the test when the first was done already.
	if second.Code != exitBusy && second.Code != exitFailed {
		t.Errorf("a second recovery: exit code %d, want %d\n%s", second.Code, exitBusy, second.Stderr)
	}
	pgtest.StartExisting(t, s.Major, directory, nil)
}

func TestARecoveryMissesNoWALThatIsArchivedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15}, zstdTar+strings.Replace(receiveLZ4, `"lz4"`, `"gzip"`, 1))
	s.receive()
	s.backup()
	// Much in the archive, so that reading it takes a while.
	for range 4 {
		s.PgbenchInit(1)
		s.SwitchWAL()
	}
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Every: 2 * time.Millisecond})
	for range 3 {
		w.WaitRows(20)
		s.SwitchWAL()
	}
	moment := w.Moment("")
	s.streamed(moment.LSN)

	directory, _ := s.destination()
	recovering := start(t, s.home.Command("recover", "main", "latest", directory))
	eventually(t, "WAL arrives at the destination", func() bool {
		recovering.mustRun()
		return len(files(t, filepath.Join(directory, "barman_wal"))) > 0 && len(recovering.plugins()["transform-compress"]) == 1
	})
	slowed := recovering.plugins()["transform-compress"][0]
	kill(t, slowed, syscall.SIGSTOP)
	s.SwitchWAL() // what was being received goes into the archive as well
	s.allStreamed()
	s.home.Must("archive-wal", "main")
	kill(t, slowed, syscall.SIGCONT)
	if r := recovering.end(); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	if held := pgtest.One[int64](c, "SELECT count(*) FROM written"); held < moment.Row {
		t.Fatalf("%d rows were streamed when the recovery began, %d were recovered", moment.Row, held)
	}
}
