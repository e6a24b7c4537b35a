package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestABackupIsStoredAndWaitsForItsWAL(t *testing.T) {
	s := newSite(t, pipelineOf("", `transform "compress" {}`, `sink "posix" {}`))
	var progress pipeline.Progress
	b, err := s.take(Options{Name: "before the migration", Progress: func(p pipeline.Progress) { progress = p }})
	if err != nil {
		t.Fatal(err)
	}
	known, err := s.Catalogue.Get(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if known.State != catalogue.StateWaitingForWALs || known.Name != "before the migration" || known.SystemID != "7000000000000000001" ||
		known.BeginWAL != "000000010000000000000020" || known.EndWAL != "000000010000000000000020" || known.Size == nil || *known.Size < 300000 {
		t.Errorf("%+v", known)
	}
	got := s.files("base/" + string(b.ID))
	slices.Sort(got)
	want := []string{"backup.info", catalogue.ReceiptsName, "data/object-0000.zst", "data/object-0001.zst", "data/object-0002.zst"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if progress.Bytes != 300000 || progress.Objects != 3 {
		t.Errorf("%+v", progress)
	}
	header, objects, err := s.Catalogue.Receipts(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]catalogue.ChainStage{{Kind: "source", Name: "generated"}, {Kind: "transform", Name: "compress"}, {Kind: "sink", Name: "posix"}}, header.Chain); diff != "" {
		t.Error(diff)
	}
	n := 0
	for o, err := range objects {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(o.Name, "base/"+string(b.ID)+"/data/object-000") || !strings.HasSuffix(o.Name, ".zst") || o.Size != 100000 {
			t.Errorf("%+v", o)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d receipts", n)
	}
}

func TestEveryFurtherSinkHoldsTheDescription(t *testing.T) {
	second := t.TempDir()
	s := newSite(t, pipelineOf("", `sink "posix" {}`, fmt.Sprintf("sink \"posix\" {\n      path = %q\n    }", second)))
	b, err := s.take(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backup.info", catalogue.ReceiptsName} {
		want, err := os.ReadFile(filepath.Join(s.Catalogue.Directory(b.ID), name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(second, "base", string(b.ID), name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %v; %d bytes, expected %d", name, err, len(got), len(want))
		}
	}
}

func TestABackupThatFailsSaysWhyAndLeavesNoData(t *testing.T) {
	source := func(settings string) string { return "source \"generated\" {\n      " + settings + "\n    }" }
	faulty := func(settings string) string { return "sink \"faulty\" {\n      " + settings + "\n    }" }
	for name, test := range map[string]struct {
		config string
		kind   sdk.ErrorKind
		reason string
	}{
		"the source fails":      {pipelineOf(source(`complaint = "no more tape"`), `sink "posix" {}`), sdk.Unknown, `source "generated": no more tape`},
		"a required sink fails": {pipelineOf("", `sink "posix" {}`, faulty("takes = 1")), sdk.Denied, `the disk is on fire`},
		"another cluster":       {pipelineOf(source(`system_id = "7000000000000000002"`), `sink "posix" {}`), sdk.Invalid, "both must be the same server"},
		"a hook objects":        {pipelineOf("", `sink "posix" {}`) + "  hook \"pre_backup\" {\n    script = \"exit 63\"\n    retry = true\n  }\n", sdk.Unknown, "pre_backup"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.config)
			b, err := s.take(Options{})
			wantError(t, err, test.kind, test.reason)
			if !strings.Contains(err.Error(), "server main") || !strings.Contains(err.Error(), string(b.ID)) {
				t.Errorf("names no server or backup: %v", err)
			}
			s.wantFailed(b, test.reason)
		})
	}
}

func TestAnOptionalSinkIsDoneWithout(t *testing.T) {
	s := newSite(t, pipelineOf("", `sink "posix" {}`, "sink \"faulty\" {\n      takes = 1\n      required = false\n    }"))
	b, err := s.take(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.State != catalogue.StateWaitingForWALs || !strings.Contains(s.log.String(), "the disk is on fire") {
		t.Errorf("%s; log:\n%s", b.State, s.log)
	}
}

func TestPositionsThatCannotBeAreRefused(t *testing.T) {
	facts := postgres.Facts{SystemID: "1"}
	for _, result := range []sdk.BackupResult{
		{}, {SystemID: "1", BeginLSN: 1, EndLSN: 2}, {SystemID: "1", Timeline: 1, EndLSN: 2}, {SystemID: "1", Timeline: 1, BeginLSN: 2, EndLSN: 2}, {SystemID: "1", Timeline: 1, BeginLSN: 2},
	} {
		wantError(t, Doubt("generated", result, facts), sdk.Invalid, `source "generated"`)
	}
	if err := Doubt("generated", sdk.BackupResult{SystemID: "1", Timeline: 1, BeginLSN: 1, EndLSN: 2}, facts); err != nil {
		t.Error(err)
	}
}

func TestTheSegmentsOfABackup(t *testing.T) {
	const size = 16 << 20
	for name, test := range map[string]struct {
		timeline               wal.Timeline
		begin, end             wal.LSN
		beginWAL, endWAL       string
		beginOffset, endOffset int64
	}{
		"in one segment":            {1, 0x2000028, 0x2000100, "000000010000000000000002", "000000010000000000000002", 0x28, 0x100},
		"begins on a boundary":      {1, 0x3000000, 0x3000100, "000000010000000000000003", "000000010000000000000003", 0, 0x100},
		"ends on a boundary":        {1, 0x2000028, 0x3000000, "000000010000000000000002", "000000010000000000000002", 0x28, 0},
		"ends just behind one":      {1, 0x2000028, 0x3000001, "000000010000000000000002", "000000010000000000000003", 0x28, 1},
		"over the end of a log":     {7, 0x1_FF000028, 0x2_00000100, "0000000700000001000000FF", "000000070000000200000000", 0x28, 0x100},
		"ends at the end of a log":  {7, 0x1_FF000028, 0x2_00000000, "0000000700000001000000FF", "0000000700000001000000FF", 0x28, 0},
		"a timeline of many digits": {0xABCDEF, 0x2000028, 0x2000100, "00ABCDEF0000000000000002", "00ABCDEF0000000000000002", 0x28, 0x100},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{backup: &catalogue.Backup{SegmentSize: size}, begun: time.Now()}
			r.finish(sdk.BackupResult{Timeline: test.timeline, BeginLSN: test.begin, EndLSN: test.end}, time.Second)
			b := r.backup
			if b.BeginWAL != test.beginWAL || b.EndWAL != test.endWAL || *b.BeginOffset != test.beginOffset || *b.EndOffset != test.endOffset {
				t.Errorf("%s+%#x to %s+%#x", b.BeginWAL, *b.BeginOffset, b.EndWAL, *b.EndOffset)
			}
			if b.State != catalogue.StateWaitingForWALs || b.EndTime.IsZero() {
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestTablespacesAreThoseOfTheCopyWithTheNamesOfTheServer(t *testing.T) {
	known := []catalogue.Tablespace{{Name: "side", OID: 16400, Location: "/srv/side"}, {Name: "dropped", OID: 16500, Location: "/srv/dropped"}}
	got := tablespaces(known, []sdk.Tablespace{{OID: 16600, Location: "/srv/new"}, {OID: 16400, Location: "/srv/side"}})
	want := []catalogue.Tablespace{{Name: "tablespace_16600", OID: 16600, Location: "/srv/new"}, {Name: "side", OID: 16400, Location: "/srv/side"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := tablespaces(known, nil); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestTheCodecIsThatOfTheTarFiles(t *testing.T) {
	for _, test := range []struct{ stored, sent, server, want string }{
		{"base/1/data/base.tar", "base/1/data/base.tar", "", ""},
		{"base/1/data/base.tar.gz", "base/1/data/base.tar", "", "gzip"},
		{"base/1/data/base.tar.zst", "base/1/data/base.tar", "", "zstd"},
		{"base/1/data/base.tar.lz4", "base/1/data/base.tar", "", "lz4"},
		{"base/1/data/base.tar.bz2", "base/1/data/base.tar", "", "bzip2"},
		{"base/1/data/base.tar.custom", "base/1/data/base.tar", "", "custom"},
		{"base/1/data/base.tar.age", "base/1/data/base.tar", "", ""},
		{"base/1/data/base.tar.gz", "base/1/data/base.tar.gz", "gzip", "gzip"},
		{"base/1/data/16400.tar.gz", "base/1/data/16400.tar", "", ""},
		{"base/1/data/PG_VERSION.gz", "base/1/data/PG_VERSION", "", ""},
	} {
		s := newSite(t, "")
		if err := os.MkdirAll(s.Catalogue.Directory("20260101T000000"), 0o700); err != nil {
			t.Fatal(err)
		}
		w, err := s.Catalogue.NewReceipts("20260101T000000", catalogue.ReceiptsHeader{})
		if err != nil {
			t.Fatal(err)
		}
		r := &run{line: pipeline.Line{Sinks: []pipeline.Stage{{}, {Optional: true}}}}
		if err := r.keep(w, []sdk.Receipt{{Name: test.stored, SourceName: test.sent, Size: 7}, {Name: "base/1/data/base.tar.other", SourceName: "base/1/data/base.tar", Output: 1, Size: 9}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
		if got := compression(r.suffix, test.server); got != test.want || r.stored != 7 {
			t.Errorf("%s: compression %q, expected %q; %d bytes", test.stored, got, test.want, r.stored)
		}
	}
}

func TestTheLayoutIsWhatIsConfiguredOrWhatSuitsThePipeline(t *testing.T) {
	for name, test := range map[string]struct {
		config  string
		want    sdk.BackupLayout
		buckets bool
	}{
		"nothing said":              {pipelineOf("", `sink "posix" {}`), sdk.LayoutPlain, false},
		"a transform":               {pipelineOf("", `transform "compress" {}`, `sink "posix" {}`), sdk.LayoutTar, false},
		"tar asked for":             {pipelineOf("", `layout = "tar"`, `sink "posix" {}`), sdk.LayoutTar, false},
		"plain asked for":           {pipelineOf("", `layout = "plain"`, `transform "compress" {}`, `sink "posix" {}`), sdk.LayoutPlain, false},
		"plain without a transform": {pipelineOf("", `layout = "plain"`), sdk.LayoutPlain, false},
		"a bucket":                  {pipelineOf("", `sink "posix" {}`), sdk.LayoutTar, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.config)
			r := &run{server: s.Server.Server}
			if got := r.layout(s.BackupLine(), test.buckets); got != test.want {
				t.Errorf("%s, expected %s", got, test.want)
			}
		})
	}
}
