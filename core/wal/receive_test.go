package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
	"github.com/barman-go/barman/test/pgtest"
)

const streamLine = `source "pgreceivewal" {
  slot        = "barman"
  create_slot = "auto"
}
transform "compress" { codec = "lz4" }
sink "posix" {}`

func streamingSite(t *testing.T, c *pgtest.Cluster, block string) *site {
	t.Helper()
	return newSiteFor(t, t.TempDir(), fmt.Sprintf("conninfo = %q", c.Conninfo()), block)
}

// within waits for something that another process does.
func within(t *testing.T, limit time.Duration, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %s", what, limit)
		}
	}
}

// closed ends the server's current segment and returns its name.
func closed(t *testing.T, s *site) string {
	t.Helper()
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.CreateRestorePoint(t.Context(), "so that there is something to switch"); err != nil {
		t.Fatal(err)
	}
	done, err := conn.SwitchWAL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done.Closed
}

func TestWALIsReceivedAndArchivedWhileTheServerLivesAndDies(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1})
	s := streamingSite(t, c, streamLine)
	ctx, stop := context.WithCancel(t.Context())
	connected := make(chan sdk.WALProgress, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- Receive(ctx, s.Server, ReceiveOptions{Progress: func(p sdk.WALProgress) {
			select {
			case connected <- p:
			default:
			}
		}})
	}()
	select {
	case <-connected:
	case err := <-ended:
		t.Fatal(err)
	}
	if err := Receive(t.Context(), s.Server, ReceiveOptions{}); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("a second receiver: %v", err)
	}
	if pid, running, err := Receiving(s.Server); err != nil || !running || pid != os.Getpid() {
		t.Errorf("receiving: %d, %v, %v", pid, running, err)
	}
	var all []string
	for range 3 {
		name := closed(t, s)
		all = append(all, name)
		if err := WaitFor(t.Context(), s.Server, name, time.Minute, ArchiveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.Stop(pgtest.Fast)
	c.Restart()
	after := closed(t, s)
	if err := WaitFor(t.Context(), s.Server, after, time.Minute, ArchiveOptions{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the receiver ended with %v", err)
	}
	s.holdsAll(c, all[0], after)
}

// holdsAll compares what is archived, and recorded, with what the server wrote.
func (s *site) holdsAll(c *pgtest.Cluster, from, to string) {
	s.t.Helper()
	first, err := wal.ParseSegment(from, testSize)
	if err != nil {
		s.t.Fatal(err)
	}
	last, err := wal.ParseSegment(to, testSize)
	if err != nil {
		s.t.Fatal(err)
	}
	segments, err := wal.Range(first, last)
	if err != nil {
		s.t.Fatal(err)
	}
	var expected []string
	for segment := range segments {
		expected = append(expected, segment.Name(testSize))
	}
	recorded := s.recorded()
	for len(recorded) > 0 && recorded[0] < from {
		recorded = recorded[1:]
	}
	if diff := cmp.Diff(expected, recorded); diff != "" {
		s.t.Error(diff)
	}
	for _, name := range expected {
		sent, err := os.ReadFile(filepath.Join(c.DataDir, "pg_wal", name))
		if err == nil && !cmp.Equal(sent, s.stored(name)) {
			s.t.Errorf("%s is not what the server has", name)
		}
	}
}

func TestAReceiverBecomesASynchronousStandbyWhileItRuns(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1})
	s := streamingSite(t, c, `source "pgreceivewal" { status_interval = "50s" }
sink "posix" {}`)
	source, err := s.WALSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{server: s.Server, source: source, options: ReceiveOptions{GiveUpAfter: time.Minute}, lookAgain: 100 * time.Millisecond}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	c.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
	c.CommitsWaitFor("barman_receive_wal")
	conn := c.Connect()
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second) // before the status interval
	defer cancel()
	for i := range 5 {
		if _, err := conn.Exec(soon, fmt.Sprintf("CREATE TABLE t%d ()", i)); err != nil {
			t.Fatalf("the commit did not return: %v", err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the receiver ended with %v", err)
	}
}

func TestAReceiverGivesUpOnAServerThatStaysAwayAndGoesOnLater(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1})
	s := streamingSite(t, c, streamLine)
	first := ""
	for range 2 {
		ended := make(chan error, 1)
		go func() { ended <- Receive(t.Context(), s.Server, ReceiveOptions{GiveUpAfter: 1500 * time.Millisecond}) }()
		c.Wait("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
		if name := closed(t, s); first == "" {
			first = name
		}
		c.Stop(pgtest.Fast)
		if err := <-ended; sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("the receiver ended with kind %v: %v", sdk.KindOf(err), err)
		}
		c.Restart()
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Receive(ctx, s.Server, ReceiveOptions{}) }()
	last := closed(t, s)
	if err := WaitFor(t.Context(), s.Server, last, time.Minute, ArchiveOptions{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the receiver ended with %v", err)
	}
	s.holdsAll(c, first, last)
}

func TestAReceiverStopsWhenToldTo(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1})
	s := streamingSite(t, c, streamLine)
	if _, err := Stop(t.Context(), s.Server); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("nothing to stop: %v", err)
	}
	cmd := s.task(t.Context(), "receive")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "receiving", func() bool { return len(s.files("streaming")) > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pid, err := Stop(ctx, s.Server)
	if err != nil || pid != cmd.Process.Pid {
		t.Errorf("stopped %d, %v", pid, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the receiver ended with %v", err)
	}
}

func TestSlotsAreMadeAndRemoved(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	s := streamingSite(t, c, "source \"pgreceivewal\" { slot = \"barman\" }\nsink \"posix\" {}")
	if err := Receive(t.Context(), s.Server, ReceiveOptions{}); sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), "--create-slot") {
		t.Errorf("without a slot: %v", err)
	}
	if _, err := DropSlot(t.Context(), s.Server); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("no slot to drop: %v", err)
	}
	if name, err := CreateSlot(t.Context(), s.Server, false); err != nil || name != "barman" {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := CreateSlot(t.Context(), s.Server, false); sdk.KindOf(err) != sdk.Exists {
		t.Errorf("made twice: %v", err)
	}
	if _, err := CreateSlot(t.Context(), s.Server, true); err != nil {
		t.Error(err)
	}
	if _, err := DropSlot(t.Context(), s.Server); err != nil {
		t.Error(err)
	}
	without := streamingSite(t, c, "source \"pgreceivewal\" {}\nsink \"posix\" {}")
	if _, err := CreateSlot(t.Context(), without.Server, false); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("no slot is configured: %v", err)
	}
	neither := streamingSite(t, c, plainLine)
	if _, err := CreateSlot(t.Context(), neither.Server, false); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("no source is configured: %v", err)
	}
}

func TestAServerOfAnotherClusterIsNotReceivedFrom(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	s := streamingSite(t, c, streamLine)
	if err := s.Catalogue.WriteIdentity(catalogue.Identity{SystemID: "42", Version: "15"}); err != nil {
		t.Fatal(err)
	}
	if err := Receive(t.Context(), s.Server, ReceiveOptions{}); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "system identifier") {
		t.Errorf("%v", err)
	}
	if got := s.files("streaming"); len(got) > 0 {
		t.Errorf("received: %q", got)
	}
}

func TestAHostOfAnotherClusterIsNotReceivedFrom(t *testing.T) {
	c, other := pgtest.Start(t, pgtest.Options{Major: 15}), pgtest.Start(t, pgtest.Options{Major: 15})
	for name, settings := range map[string]string{
		"conninfo":     fmt.Sprintf("conninfo = %q\nwal_streaming_conninfo = %q", c.Conninfo(), other.Conninfo()),
		"wal_conninfo": fmt.Sprintf("conninfo = %q\nwal_conninfo = %q\nwal_streaming_conninfo = %q", c.Conninfo(), c.SocketConninfo(), other.Conninfo()),
	} {
		s := newSiteFor(t, t.TempDir(), settings, streamLine)
		err := Receive(t.Context(), s.Server, ReceiveOptions{})
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), name+" of server") || !strings.Contains(fmt.Sprint(err), "system identifier") {
			t.Errorf("%s: kind %v of %v", name, sdk.KindOf(err), err)
		}
		if got := s.files("streaming"); len(got) > 0 {
			t.Errorf("received: %q", got)
		}
	}
}

func TestAServerThatIsDownIsToldAtOnce(t *testing.T) {
	s := newSite(t, t.TempDir(), streamLine)
	if err := Receive(t.Context(), s.Server, ReceiveOptions{}); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestResetGoesOnWhereTheServerCan(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1})
	s := streamingSite(t, c, streamLine)
	if _, err := CreateSlot(t.Context(), s.Server, false); err != nil {
		t.Fatal(err)
	}
	report, err := Reset(t.Context(), s.Server)
	if err != nil || !report.Aligned || report.Gap {
		t.Errorf("an empty directory: %+v, %v", report, err)
	}
	next := report.Next
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	facts, err := conn.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	// What was received ends long before what the server still has.
	old := wal.Segment{Timeline: 1, Number: 1}
	content := segmentOf(old.Name(testSize), systemID(t, facts.SystemID), 1)
	s.put("streaming", old.Name(testSize)+".partial", content)
	for range 3 {
		closed(t, s)
	}
	c.Exec("CHECKPOINT") // a new slot keeps WAL from the last one on
	if _, err := DropSlot(t.Context(), s.Server); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateSlot(t.Context(), s.Server, false); err != nil {
		t.Fatal(err)
	}
	report, err = Reset(t.Context(), s.Server)
	if err != nil || !report.Gap || report.Aligned || report.Next <= next {
		t.Errorf("%+v, %v", report, err)
	}
	if diff := cmp.Diff([]string{old.Name(testSize) + ".partial"}, report.Archived); diff != "" {
		t.Error(diff)
	}
	if !cmp.Equal(s.stored(old.Name(testSize)+".partial"), content) {
		t.Error("what was received is lost")
	}
	if diff := cmp.Diff([]string{report.Next + ".partial"}, s.files("streaming")); diff != "" {
		t.Error(diff)
	}
	again, err := Reset(t.Context(), s.Server)
	if err != nil || !again.Aligned || again.Next != report.Next {
		t.Errorf("%+v, %v", again, err)
	}
	ahead := "0000000100000099000000AA"
	s.put("streaming", ahead, segmentOf(ahead, systemID(t, facts.SystemID), 1))
	if _, err := Reset(t.Context(), s.Server); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("ahead of the server: %v", err)
	}
}

func systemID(t *testing.T, text string) uint64 {
	t.Helper()
	var id uint64
	if _, err := fmt.Sscan(text, &id); err != nil {
		t.Fatal(err)
	}
	return id
}
