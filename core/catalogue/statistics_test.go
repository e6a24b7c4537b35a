package catalogue

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

func allBackups(t *testing.T, s *Server) []*Backup {
	t.Helper()
	var all []*Backup
	for e, err := range s.Entries() {
		if err != nil || e.Err != nil {
			t.Fatal(err, e.Err)
		}
		all = append(all, e.Backup)
	}
	return all
}

// What Barman 3.4 printed for the same catalogue is the expectation.
func TestFiguresAreThoseOfBarman34(t *testing.T) {
	s := fixture(t)
	all := allBackups(t, s)
	statistics, err := s.WALStatistics(all)
	if err != nil {
		t.Fatal(err)
	}

	var list map[string][]struct {
		ID          BackupID `json:"backup_id"`
		Status      State    `json:"status"`
		Size        string   `json:"size"`
		SizeBytes   int64    `json:"size_bytes"`
		WALSize     string   `json:"wal_size"`
		WALSizeByte int64    `json:"wal_size_bytes"`
	}
	if err := json.Unmarshal([]byte(read(t, "testdata/barman-3.4/list-backups.json")), &list); err != nil || len(list["main"]) != len(all) {
		t.Fatal(err, len(list["main"]))
	}
	for _, want := range list["main"] {
		b, err := s.Get(want.ID)
		if err != nil || b.State != want.Status {
			t.Errorf("%s: %v, %v", want.ID, b, err)
		}
		if !b.State.CopyDone() {
			continue
		}
		w := statistics[want.ID]
		if *b.Size+w.Size != want.SizeBytes || w.UntilNextSize != want.WALSizeByte || PrettySize(want.SizeBytes) != want.Size || PrettySize(want.WALSizeByte) != want.WALSize {
			t.Errorf("%s: %+v, expected %+v", want.ID, w, want)
		}
	}

	w := statistics["20261121T075819"]
	if w.Count != 1 || w.UntilNextCount != 2 || w.First != "000000010000000000000002" || w.Last != "000000010000000000000004" ||
		math.Abs(w.PerSecond()-0.8029978455537744) > 1e-6 || math.Round(w.CompressionRatio()*1e4) != 9990 || math.Round(w.UntilNextCompressionRatio()*1e4) != 9986 {
		t.Errorf("%+v, %v per second, ratios %v and %v", w, w.PerSecond(), w.CompressionRatio(), w.UntilNextCompressionRatio())
	}
}

func TestFiguresThatCannotBeToldAreZero(t *testing.T) {
	s := newServer(t)
	b := &Backup{ID: "20240101T000000", State: StateDone, BeginWAL: "000000010000000000000002", EndWAL: "000000010000000000000002"}
	early := &Backup{ID: "20230101T000000", State: StateFailed}
	write(t, xlogPath(s), "")
	got, err := s.WALStatistics([]*Backup{b, early})
	if err != nil || len(got) != 1 || got[b.ID] != (WALStatistics{}) || got[b.ID].PerSecond() != 0 || got[b.ID].CompressionRatio() != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.Append(t.Context(), record(t, b.BeginWAL, 16, "")); err != nil {
		t.Fatal(err)
	}
	got, err = s.WALStatistics([]*Backup{b})
	if w := got[b.ID]; err != nil || w.Count != 1 || w.PerSecond() != 0 || w.Duration() != 0 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestOtherTimelinesHistoriesAndEarlierFilesDoNotCount(t *testing.T) {
	s := newServer(t)
	for i, name := range []string{"000000010000000000000001", "000000010000000000000002", "000000010000000000000002.00000028.backup", "000000010000000000000003",
		"000000010000000000000004.partial", "00000002.history", "000000020000000000000004", "000000010000000000000009"} {
		r := record(t, name, 10, "")
		r.ModTime = time.Unix(int64(1000+10*i), 0)
		if err := s.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	backups := []*Backup{
		{ID: "20240103T000000", State: StateDone, BeginWAL: "000000010000000000000007", EndWAL: "000000010000000000000008"},
		{ID: "20240102T000000", State: StateFailed, BeginWAL: "000000010000000000000003", EndWAL: "000000010000000000000003"},
		{ID: "20240101T000000", State: StateDone, BeginWAL: "000000010000000000000002", EndWAL: "000000010000000000000002"},
	}
	got, err := s.WALStatistics(backups)
	if err != nil {
		t.Fatal(err)
	}
	want := WALStatistics{Count: 1, Size: 10, UntilNextCount: 1, UntilNextSize: 10, First: "000000010000000000000002", FirstTime: time.Unix(1010, 0),
		Last: "000000010000000000000003", LastTime: time.Unix(1030, 0), TheoreticalSize: 16 << 20, UntilNextTheoreticalSize: 16 << 20}
	if d := cmp.Diff(want, got["20240101T000000"]); d != "" {
		t.Error(d)
	}
	if p := got["20240101T000000"].PerSecond(); p != 0.1 {
		t.Errorf("%v per second", p)
	}
}

func TestFiguresComeDespiteDamagedLines(t *testing.T) {
	s := fixture(t)
	write(t, xlogPath(s), "garbage\nmore garbage\n"+read(t, xlogPath(s)))
	got, err := s.WALStatistics(allBackups(t, s))
	wantKind(t, err, sdk.Corrupt, "line 1")
	if w := got["20261121T075819"]; w.UntilNextSize != 47438 {
		t.Errorf("%+v", w)
	}
}

// Whatever the backups say of themselves, and in whatever order the lines come,
// each backup has the figures that counting for it alone gives.
func TestFiguresAreThoseOfCountingForEachBackup(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	name := func() string { return fmt.Sprintf("%08X%08X%08X", 1+random.IntN(3), random.IntN(2), random.IntN(6)) }
	s := newServer(t)
	for range 300 {
		var backups []*Backup
		for i := range random.IntN(6) {
			b := &Backup{ID: BackupID(fmt.Sprintf("202601%02dT000000", i+1)), State: StateDone, SegmentSize: 16 << 20, BeginWAL: name(), EndWAL: name()}
			if random.IntN(4) == 0 {
				b.State = StateFailed
			}
			backups = append(backups, b)
		}
		var index strings.Builder
		var records []WALRecord
		for i := range random.IntN(30) {
			r := WALRecord{Name: walName(t, name()), Size: int64(i), ModTime: time.Unix(int64(i), 0)}
			records = append(records, r)
			fmt.Fprintf(&index, "%s\t%d\t%d.0\tNone\n", r.Name, i, i)
		}
		write(t, xlogPath(s), index.String())
		got, err := s.WALStatistics(backups)
		if err != nil {
			t.Fatal(err)
		}
		want := map[BackupID]WALStatistics{}
		for i, b := range backups {
			want[b.ID] = counted(t, b, backups[i+1:], records)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func counted(t *testing.T, b *Backup, later []*Backup, records []WALRecord) WALStatistics {
	var w WALStatistics
	until := "FFFFFFFFFFFFFFFFFFFFFFFF"
	for _, next := range slices.Backward(later) {
		if next.State.CopyDone() {
			until = next.EndWAL
		}
	}
	for _, r := range records {
		text := r.Name.String()
		if text < b.BeginWAL || r.Name.Timeline > walName(t, b.BeginWAL).Timeline || text > until {
			continue
		}
		if text <= b.EndWAL {
			w.Count++
			w.Size += r.Size
			w.TheoreticalSize += 16 << 20
		} else {
			w.UntilNextCount++
			w.UntilNextSize += r.Size
			w.UntilNextTheoreticalSize += 16 << 20
		}
		if text == b.BeginWAL {
			w.First, w.FirstTime = text, r.ModTime
		}
		if text >= w.Last {
			w.Last, w.LastTime = text, r.ModTime
		}
	}
	return w
}
