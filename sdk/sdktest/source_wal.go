package sdktest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// WALCases tell how a WAL source's server is driven.
type WALCases struct {
	// SegmentSize is the server's WAL segment size.
	SegmentSize wal.SegmentSize
	// Advance makes the server finish a WAL segment that holds something.
	Advance func(t T)
	// Settings returns settings for another directory, with a replication slot
	// of its own for instance; nil when the same settings serve every check.
	Settings func(t T) Config
}

// WALSource checks a source of WAL against a real server: give it with the
// option Server.
func WALSource(t *testing.T, p Plugin, c Config, cases WALCases, list ...Option) {
	t.Helper()
	runAll(t, WALSourceChecks(p, c, cases, list...))
}

// WALSourceChecks are the clauses of sdk.WALSource.
func WALSourceChecks(p Plugin, c Config, cases WALCases, list ...Option) []Check {
	s := walSubject{subject{plugin: p, kind: "source", config: c, options: collect(list)}, cases}
	checks := []Check{
		s.starts(),
		s.refusesUnknownSettings(),
		{"declares WAL", "A source that receives WAL declares it.", s.declared},
		{"segments", "Finished segments are kept under their names, whole, one after the other without a gap; the one being received has the suffix .partial.", s.segments},
		{"positions", "Positions only grow, and are reported only when what they stand for is in the files.", s.positions},
		{"cancellation", "When receiving is cancelled, it ends within the deadline and without an error.", s.cancellation},
		{"going on", "Receiving again goes on where the files in the directory end.", s.goesOn},
		{"sudden death", "When the plugin is killed, the next process goes on where the files in the directory end.", s.killed},
		{"leaks", "Receiving leaves no descriptors and no goroutines behind.", s.leaks},
	}
	if s.unreachable != nil {
		checks = append(checks, Check{"unreachable server", "A server that cannot be reached is an error of kind unavailable.", s.cannotReach})
	}
	return checks
}

type walSubject struct {
	subject
	cases WALCases
}

// reception is an operation that receives WAL.
type reception struct {
	session *session
	stop    context.CancelFunc
	err     chan error

	mu       sync.Mutex
	progress []sdk.WALProgress
	moved    chan struct{}
}

// fresh is the subject with settings of the check's own.
func (s walSubject) fresh(t T) walSubject {
	t.Helper()
	if s.cases.Settings != nil {
		s.config = s.cases.Settings(t)
	}
	return s
}

func (s walSubject) receive(t T, session *session, directory string) *reception {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &reception{session: session, stop: stop, err: make(chan error, 1), moved: make(chan struct{}, 1)}
	go func() {
		r.err <- session.Run(ctx, host.Receive(sdk.ReceiveRequest{Directory: directory, SegmentSize: s.cases.SegmentSize}), host.Lanes{}, host.Events{
			WAL: func(p sdk.WALProgress) {
				r.mu.Lock()
				r.progress = append(r.progress, p)
				r.mu.Unlock()
				select {
				case r.moved <- struct{}{}:
				default:
				}
			},
		})
	}()
	return r
}

func (r *reception) reports() []sdk.WALProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.progress)
}

func (r *reception) finished() (names []string) {
	for _, p := range r.reports() {
		if p.Finished != "" {
			names = append(names, p.Finished)
		}
	}
	return names
}

// await waits until n segments are finished.
func (s walSubject) await(t T, r *reception, n int) {
	t.Helper()
	timeout := time.After(6 * s.deadline)
	for len(r.finished()) < n {
		select {
		case <-r.moved:
		case err := <-r.err:
			t.Fatalf("receiving ended: %v", err)
		case <-timeout:
			t.Fatalf("%d segments were reported within %s, %d were finished by the server", len(r.finished()), 6*s.deadline, n)
		}
	}
}

// connected waits for the first sign that WAL is received.
func (s walSubject) connected(t T, r *reception, directory string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		partial, err := filepath.Glob(filepath.Join(directory, "*.partial"))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if len(partial) > 0 || len(r.reports()) > 0 {
			return
		}
		select {
		case err := <-r.err:
			t.Fatalf("receiving ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing was received within a minute")
		}
	}
}

// end cancels the reception. Whether it takes that for an error is the business
// of one check alone.
func (s walSubject) end(t T, r *reception) {
	t.Helper()
	if err := s.cancelled(t, r); err != nil && sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("the cancelled reception ended with %v", err)
	}
}

func (s walSubject) cancelled(t T, r *reception) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.err:
		return err
	case <-time.After(s.settle()):
		t.Errorf("the reception still ran %s after it was cancelled", s.settle())
		r.session.Stop()
		return <-r.err
	}
}

func (s walSubject) declared(t T) {
	d, err := s.launch(t).Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	if !d.ReceiveWAL {
		t.Errorf("it does not declare that it receives WAL")
	}
}

// contiguous makes sure that the directory holds whole segments without a gap.
func (s walSubject) contiguous(t T, directory string, atLeast int) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var names []string
	partial := 0
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), ".partial"):
			partial++
		case len(e.Name()) == 24:
			info, err := e.Info()
			if err != nil {
				t.Fatalf("%v", err)
			}
			if info.Size() != int64(s.cases.SegmentSize) {
				t.Errorf("%s has %d bytes, a segment has %d", e.Name(), info.Size(), s.cases.SegmentSize)
			}
			names = append(names, e.Name())
		case !strings.HasSuffix(e.Name(), ".history"):
			t.Errorf("the directory holds %s", e.Name())
		}
	}
	if partial > 1 {
		t.Errorf("%d segments are partial", partial)
	}
	if len(names) < atLeast {
		t.Errorf("the directory holds %d segments, %d were finished", len(names), atLeast)
	}
	for i := 1; i < len(names); i++ {
		if a, b := segmentNumber(t, names[i-1], s.cases.SegmentSize), segmentNumber(t, names[i], s.cases.SegmentSize); b != a+1 && names[i-1][:8] == names[i][:8] {
			t.Errorf("%s follows %s: there is a gap", names[i], names[i-1])
		}
	}
}

func segmentNumber(t T, name string, size wal.SegmentSize) uint64 {
	t.Helper()
	var timeline, high, low uint32
	if _, err := fmt.Sscanf(name, "%08X%08X%08X", &timeline, &high, &low); err != nil {
		t.Fatalf("%s is no segment: %v", name, err)
	}
	return uint64(high)*(1<<32/uint64(size)) + uint64(low)
}

func (s walSubject) segments(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	r := s.receive(t, s.open(t), directory)
	s.connected(t, r, directory)
	for i := range 3 {
		s.cases.Advance(t)
		s.await(t, r, i+1)
	}
	for _, name := range r.finished() {
		if _, err := os.Stat(filepath.Join(directory, name)); err != nil {
			t.Errorf("a segment was reported as finished: %v", err)
		}
	}
	s.end(t, r)
	s.contiguous(t, directory, 3)
}

func (s walSubject) positions(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	r := s.receive(t, s.open(t), directory)
	s.connected(t, r, directory)
	for i := range 2 {
		s.cases.Advance(t)
		s.await(t, r, i+1)
	}
	s.end(t, r)
	var last wal.LSN
	var end uint64
	for _, p := range r.reports() {
		if p.Flushed < last {
			t.Errorf("the position goes back from %s to %s", last, p.Flushed)
		}
		last = p.Flushed
		if len(p.Finished) == 24 {
			end = (segmentNumber(t, p.Finished, s.cases.SegmentSize) + 1) * uint64(s.cases.SegmentSize)
			if uint64(p.Flushed) < end {
				t.Errorf("%s is reported as finished at the position %s, inside of it", p.Finished, p.Flushed)
			}
		}
	}
	if end == 0 {
		t.Errorf("no segment was reported")
	}
}

func (s walSubject) cancellation(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	r := s.receive(t, s.open(t), directory)
	s.connected(t, r, directory)
	if err := s.cancelled(t, r); err != nil {
		t.Errorf("the cancelled reception ended with %v", err)
	}
}

func (s walSubject) goesOn(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	session := s.open(t)
	first := s.receive(t, session, directory)
	s.connected(t, first, directory)
	s.cases.Advance(t)
	s.await(t, first, 1)
	s.end(t, first)
	// The server goes on while nobody receives.
	s.cases.Advance(t)
	second := s.receive(t, session, directory)
	s.await(t, second, 1)
	s.cases.Advance(t)
	s.await(t, second, 2)
	s.end(t, second)
	s.contiguous(t, directory, 3)
}

func (s walSubject) killed(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	first := s.receive(t, s.open(t), directory)
	s.connected(t, first, directory)
	s.cases.Advance(t)
	s.await(t, first, 1)
	if err := syscall.Kill(first.session.PID(), syscall.SIGKILL); err != nil {
		t.Fatalf("kill the plugin: %v", err)
	}
	if <-first.err == nil {
		t.Errorf("the reception whose plugin was killed ended without an error")
	}
	s.cases.Advance(t)
	second := s.receive(t, s.open(t), directory)
	s.await(t, second, 1)
	s.cases.Advance(t)
	s.await(t, second, 2)
	s.end(t, second)
	s.contiguous(t, directory, 3)
}

func (s walSubject) leaks(t T) {
	s = s.fresh(t)
	directory := t.TempDir()
	s.leakless(t, func() *session { return s.open(t) }, func(session *session, _ int) {
		r := s.receive(t, session, directory)
		s.connected(t, r, directory)
		s.end(t, r)
	})
}

func (s walSubject) cannotReach(t T) {
	session := s.launch(t)
	err := s.configure(t.Context(), t, session, *s.unreachable)
	if err == nil {
		err = session.Run(t.Context(), host.Receive(sdk.ReceiveRequest{Directory: t.TempDir(), SegmentSize: s.cases.SegmentSize}), host.Lanes{}, host.Events{})
	}
	wantKind(t, "receiving from a server that cannot be reached", err, sdk.Unavailable)
}
