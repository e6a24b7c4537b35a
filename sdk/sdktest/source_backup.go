package sdktest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// BackupSource checks a source of base backups against a real server: give it
// with the option Server. The server should hold a few megabytes, a tablespace
// if it can, and nothing that forbids a fast checkpoint.
func BackupSource(t *testing.T, p Plugin, c Config, list ...Option) {
	t.Helper()
	runAll(t, BackupSourceChecks(p, c, list...))
}

// BackupSourceChecks are the clauses of sdk.BackupSource.
func BackupSourceChecks(p Plugin, c Config, list ...Option) []Check {
	s := subject{plugin: p, kind: "source", config: c, options: collect(list)}
	checks := []Check{
		s.starts(),
		s.refusesUnknownSettings(),
		{"declares backups", "A source that takes base backups declares it.", s.backupDeclared},
	}
	for _, layout := range s.layouts {
		checks = append(checks,
			Check{"objects in layout " + string(layout), "Every object has a valid name below the prefix, in the place that its layout gives it, once; tar archives are whole.", func(t T) { s.backupObjects(t, layout) }},
			Check{"result in layout " + string(layout), "The result says what the backup is: system, timeline, positions and times, label.", func(t T) { s.backupResult(t, layout) }},
		)
	}
	if slices.Contains(s.layouts, sdk.LayoutTar) {
		checks = append(checks, Check{"split archives", "Archives are split between members at the size that was asked for: each is whole and of a name of its own, every member is in one of them, and pg_control in the last one of the data directory.", s.backupSplit})
	}
	checks = append(checks,
		Check{"receipts", "The core learns of every object that is durable, once.", s.backupReceipts},
		Check{"several lanes", "Objects may be emitted on several lanes.", s.backupLanes},
		Check{"one after the other", "A process takes several backups, one after the other.", s.backupTwice},
		Check{"memory", "A backup passes within the memory limit.", s.backupMemory},
		Check{"progress", "A running backup gives a sign of life several times a second, tells how much to expect, and its last one counts every byte.", s.backupProgress},
		Check{"cancellation", "When a backup is cancelled, it ends within the deadline, with an error of kind cancelled, and nothing of it runs on the server.", s.backupCancel},
		Check{"sink fails", "When the stage behind refuses an object, the backup ends within the deadline, and nothing of it runs on the server.", s.backupRefused},
		Check{"sink vanishes", "When the stage behind goes away, the backup ends within the deadline, and nothing of it runs on the server.", s.backupSinkVanished},
		Check{"leaks", "Backups, whether they succeed or not, leave no descriptors and no goroutines behind.", s.backupLeaks},
	)
	if s.unreachable != nil {
		checks = append(checks, Check{"unreachable server", "A server that cannot be reached is an error of kind unavailable.", s.backupUnreachable})
	}
	return checks
}

const backupPrefix = "base/20260102T030405/"

func backupRequest(layout sdk.BackupLayout) sdk.BackupRequest {
	return sdk.BackupRequest{Prefix: backupPrefix, Label: "barman conformance check", Layout: layout}
}

// taken is what came of a backup.
type taken struct {
	results                  []sdk.BackupResult
	receipts                 []sdk.Receipt
	objects, bytes, expected int64 // the last progress
	signs                    int
	most                     int64 // the largest expectation
}

// backup takes a backup and hands each object to take.
func (s subject) backup(t T, session *session, lanes int, layout sdk.BackupLayout, take func(o sdk.Object, r io.Reader) error) (*taken, outcome) {
	t.Helper()
	return s.backupOf(t, session, lanes, backupRequest(layout), take)
}

func (s subject) backupOf(t T, session *session, lanes int, request sdk.BackupRequest, take func(o sdk.Object, r io.Reader) error) (*taken, outcome) {
	t.Helper()
	got := &taken{}
	o := s.run(t, line{
		lanes: lanes, patience: 10 * time.Minute, take: taking(false, take),
		steps: []*step{{session: session, operation: host.Backup(request), events: host.Events{
			Progress: func(objects, bytes, expected int64) {
				got.objects, got.bytes, got.expected = objects, bytes, expected
				got.signs++
				got.most = max(got.most, expected)
			},
			Receipts: func(r []sdk.Receipt) { got.receipts = append(got.receipts, r...) },
			Backup:   func(r sdk.BackupResult) { got.results = append(got.results, r) },
		}}},
	})
	return got, o
}

func (s subject) backedUp(t T, session *session, lanes int, layout sdk.BackupLayout, take func(o sdk.Object, r io.Reader) error) *taken {
	t.Helper()
	got, o := s.backup(t, session, lanes, layout, take)
	if err := o.err(); err != nil {
		t.Fatalf("backup: %v", err)
	}
	return got
}

func (s subject) backupDeclared(t T) {
	d, err := s.launch(t).Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	if !d.Backup {
		t.Errorf("it does not declare that it takes base backups")
	}
}

func (s subject) backupObjects(t T, layout sdk.BackupLayout) {
	seen := map[string]bool{}
	var mu sync.Mutex
	s.backedUp(t, s.open(t), 1, layout, func(o sdk.Object, r io.Reader) error {
		mu.Lock()
		if seen[o.Name] {
			t.Errorf("%q is emitted twice", o.Name)
		}
		seen[o.Name] = true
		mu.Unlock()
		if !strings.HasPrefix(o.Name, backupPrefix) {
			t.Errorf("%q is not below the prefix %q", o.Name, backupPrefix)
		}
		if o.Kind != sdk.KindTar || r == nil {
			return discard(o, r)
		}
		if strings.HasSuffix(o.Name, ".tar") {
			if err := wholeTar(r); err != nil {
				t.Errorf("%q is no whole tar archive: %v", o.Name, err)
			}
		}
		return discard(o, r)
	})
	want := map[sdk.BackupLayout][]string{
		sdk.LayoutTar:   {"data/base.tar"},
		sdk.LayoutPlain: {"data/PG_VERSION", "data/global/pg_control", "data/backup_label"},
	}[layout]
	for _, name := range want {
		found := false
		for got := range seen {
			// The server may compress archives, which their names tell.
			found = found || strings.HasPrefix(got, backupPrefix+name)
		}
		if !found {
			t.Errorf("%q is missing", backupPrefix+name)
		}
	}
}

func wholeTar(r io.Reader) error { return membersOf(r, func(*tar.Header) {}) }

// membersOf tells of every member of an archive, which has some.
func membersOf(r io.Reader, member func(*tar.Header)) error {
	archive := tar.NewReader(r)
	for n := 0; ; n++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return errors.New("it is empty")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		member(header)
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return err
		}
	}
}

// archivePart is the name of an archive in a series, below the prefix and data/.
var archivePart = regexp.MustCompile(`^(base|[1-9][0-9]*)(_[0-9]{4,})?\.tar$`)

// backupSplit asks for archives of a size that the server's data exceeds many
// times.
func (s subject) backupSplit(t T) {
	const size = 1 << 20
	request := backupRequest(sdk.LayoutTar)
	request.ArchiveSize = size
	var mu sync.Mutex
	parts := map[string]int{}      // of each series
	found := map[string]string{}   // which archive has a member of a series
	names := map[string]struct{}{} // of archives
	_, o := s.backupOf(t, s.open(t), 3, request, func(o sdk.Object, r io.Reader) error {
		part := archivePart.FindStringSubmatch(strings.TrimPrefix(o.Name, backupPrefix+"data/"))
		if o.Kind != sdk.KindTar {
			return discard(o, r)
		}
		if part == nil {
			t.Errorf("%q is no name of an archive", o.Name)
			return discard(o, r)
		}
		counted := &counter{r: r}
		files := 0
		err := membersOf(counted, func(h *tar.Header) {
			if h.Typeflag != tar.TypeReg {
				return
			}
			files++
			mu.Lock()
			defer mu.Unlock()
			key := part[1] + " " + path.Clean(h.Name)
			if other, twice := found[key]; twice {
				t.Errorf("%s is in %s and in %s", h.Name, other, o.Name)
			}
			found[key] = part[0]
		})
		if err != nil {
			t.Errorf("%q is no whole tar archive: %v", o.Name, err)
		}
		if err := discard(o, counted); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if counted.n > size && files > 1 {
			t.Errorf("%q has %d files and %d bytes, %d were asked for", o.Name, files, counted.n, size)
		}
		parts[part[1]]++
		names[part[0]] = struct{}{}
		return nil
	})
	if err := o.err(); err != nil {
		t.Fatalf("backup: %v", err)
	}
	if parts["base"] < 2 {
		t.Errorf("the data directory is in %d archives", parts["base"])
	}
	for stem, n := range parts {
		for i := range n {
			if _, ok := names[partName(stem, i)]; !ok {
				t.Errorf("%s is missing among %d archives", partName(stem, i), n)
			}
		}
	}
	if last := partName("base", parts["base"]-1); found["base global/pg_control"] != last {
		t.Errorf("pg_control is in %q, the last archive is %s", found["base global/pg_control"], last)
	}
}

func partName(stem string, i int) string {
	if i == 0 {
		return stem + ".tar"
	}
	return fmt.Sprintf("%s_%04d.tar", stem, i)
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (s subject) backupResult(t T, layout sdk.BackupLayout) {
	begun := time.Now()
	got := s.backedUp(t, s.open(t), 1, layout, discard)
	if len(got.results) != 1 {
		t.Fatalf("%d results came", len(got.results))
	}
	r := got.results[0]
	if r.SystemID == "" || r.SystemID == "0" {
		t.Errorf("the system identifier is %q", r.SystemID)
	}
	if r.Timeline == wal.Timeline(0) {
		t.Errorf("the timeline is 0")
	}
	if r.BeginLSN == 0 || r.EndLSN <= r.BeginLSN {
		t.Errorf("the backup goes from %s to %s", r.BeginLSN, r.EndLSN)
	}
	const skew = 24 * time.Hour // between this machine's clock and the server's
	if r.BeginTime.IsZero() || r.EndTime.Before(r.BeginTime) || r.BeginTime.Before(begun.Add(-skew)) || r.EndTime.After(time.Now().Add(skew)) {
		t.Errorf("the backup goes from %s to %s", r.BeginTime, r.EndTime)
	}
	if r.Label != "" && !strings.Contains(r.Label, "START WAL LOCATION") {
		t.Errorf("the label is no backup_label: %q", r.Label)
	}
}

func (s subject) backupReceipts(t T) {
	var mu sync.Mutex
	sent := map[string]int{}
	got := s.backedUp(t, s.open(t), 1, s.layouts[0], func(o sdk.Object, r io.Reader) error {
		mu.Lock()
		sent[o.Name]++
		mu.Unlock()
		return discard(o, r)
	})
	for _, r := range got.receipts {
		sent[r.SourceName]--
	}
	for name, n := range sent {
		if n != 0 {
			t.Errorf("%d receipts too few for %q", n, name)
		}
	}
}

func (s subject) backupLanes(t T) {
	var mu sync.Mutex
	objects, bytes := int64(0), int64(0)
	got := s.backedUp(t, s.open(t), 3, s.layouts[len(s.layouts)-1], func(_ sdk.Object, r io.Reader) error {
		n := int64(0)
		var err error
		if r != nil {
			n, err = io.Copy(io.Discard, r)
		}
		mu.Lock()
		objects, bytes = objects+1, bytes+n
		mu.Unlock()
		return err
	})
	if got.objects != objects || got.bytes != bytes {
		t.Errorf("the last progress says %d objects and %d bytes, %d and %d came", got.objects, got.bytes, objects, bytes)
	}
}

func (s subject) backupTwice(t T) {
	session := s.open(t)
	for range 2 {
		s.backedUp(t, session, 1, s.layouts[0], discard)
	}
}

func (s subject) backupMemory(t T) {
	session := s.open(t)
	s.backedUp(t, session, 1, s.layouts[0], discard)
	if peak := statusBytes(t, session.PID(), "VmHWM"); peak > s.memory {
		t.Errorf("a backup took %d MiB of memory at its peak, the limit is %d MiB", peak>>20, s.memory>>20)
	}
}

func (s subject) backupProgress(t T) {
	total := int64(0)
	var mu sync.Mutex
	slow := sync.OnceFunc(func() { time.Sleep(time.Second) }) // a sink that makes the backup last a second
	got := s.backedUp(t, s.open(t), 1, s.layouts[0], func(_ sdk.Object, r io.Reader) error {
		slow()
		if r == nil {
			return nil
		}
		n, err := io.Copy(io.Discard, r)
		mu.Lock()
		total += n
		mu.Unlock()
		return err
	})
	if got.signs < 3 {
		t.Errorf("%d signs of life in a second", got.signs)
	}
	if got.bytes != total {
		t.Errorf("the last progress says %d bytes, %d came", got.bytes, total)
	}
	if got.most == 0 {
		t.Errorf("how much to expect was never told")
	}
}

func (s subject) quiet(t T) {
	t.Helper()
	if s.idle != nil {
		s.idle(t)
	}
}

func (s subject) backupCancel(t T) {
	session := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	operated := &step{session: session, operation: host.Backup(backupRequest(s.layouts[0])), ctx: ctx, ended: func() { close(ended) }}
	// Nothing is acknowledged, so that the backup cannot end before it is
	// cancelled.
	s.run(t, line{steps: []*step{operated}, take: absorbing(false, unflushable{until: ended, taker: func(o sdk.Object, r io.Reader) error {
		cancel()
		return discard(o, r)
	}})})
	wantKind(t, "the cancelled backup", operated.err, sdk.Cancelled)
	s.quiet(t)
	s.backedUp(t, session, 1, s.layouts[0], discard)
}

// unflushable is a sink that makes nothing durable until something has happened.
type unflushable struct {
	taker
	until <-chan struct{}
}

func (u unflushable) Flush(ctx context.Context) error {
	select {
	case <-u.until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s subject) backupRefused(t T) {
	operated := &step{session: s.open(t), operation: host.Backup(backupRequest(s.layouts[0]))}
	o := s.run(t, line{steps: []*step{operated}, take: refuse(func(string) bool { return true }, &shelf{})})
	wantKind(t, "the backup", operated.err, sdk.Disconnected)
	wantKind(t, "the absorber behind", o.take, sdk.Denied)
	s.quiet(t)
}

func (s subject) backupSinkVanished(t T) {
	operated := &step{session: s.open(t), operation: host.Backup(backupRequest(s.layouts[0]))}
	s.run(t, line{steps: []*step{operated}, take: vanishBehind})
	wantKind(t, "the backup", operated.err, sdk.Disconnected)
	s.quiet(t)
}

func (s subject) backupLeaks(t T) {
	s.leakless(t, func() *session { return s.open(t) }, func(session *session, i int) {
		operated := &step{session: session, operation: host.Backup(backupRequest(s.layouts[0]))}
		switch i % 2 {
		case 0:
			s.run(t, line{steps: []*step{operated}, take: vanishBehind})
		case 1:
			s.run(t, line{steps: []*step{operated}, take: refuse(func(string) bool { return true }, &shelf{})})
		}
	})
	s.quiet(t)
}

func (s subject) backupUnreachable(t T) {
	session := s.launch(t)
	err := s.configure(t.Context(), t, session, *s.unreachable)
	if err == nil {
		_, o := s.backup(t, session, 1, s.layouts[0], discard)
		err = o.step
	}
	wantKind(t, fmt.Sprintf("a backup of the unreachable server %s", s.unreachable.Name), err, sdk.Unavailable)
}
