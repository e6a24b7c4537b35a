package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
)

// settings of a server's backups, with transforms and a sink that need not be
// durable.
func settings(layout, checksums, sink string, transforms ...string) string {
	text := "  backup {\n    layout = \"" + layout + "\"\n    source \"pgbasebackup\" {\n      checkpoint = \"fast\"\n      manifest_checksums = \"" + checksums + "\"\n    }\n"
	return text + "    " + strings.Join(transforms, "\n    ") + "\n    sink \"posix\" {\n      fsync = false\n" + sink + "\n    }\n  }\n"
}

const zstd = "transform \"compress\" {\n      codec = \"zstd\"\n    }"

// One cluster serves all, and each form of backup is made by PostgreSQL and the
// plugins.
func TestBackupsOfPostgreSQL(t *testing.T) {
	c := newCluster(t)
	elsewhere := t.TempDir()
	t.Run("plain", func(t *testing.T) {
		s := take(t, c, settings("plain", "CRC32C", ""))
		t.Run("verdicts are those of pg_verifybackup", func(t *testing.T) { verdicts(t, s) })
		t.Run("receipts", func(t *testing.T) { receiptsTell(t, s) })
		t.Run("WAL", func(t *testing.T) { walIsRead(t, s) })
		t.Run("manifests", func(t *testing.T) { manifestsAreMade(t, s) })
		t.Run("refusals", func(t *testing.T) { refusals(t, s) })
	})
	for name, text := range map[string]string{
		"tar":                     settings("tar", "SHA224", ""),
		"tar, compressed":         settings("tar", "SHA256", "", zstd),
		"tar, hidden":             settings("tar", "SHA384", "", `transform "inverted" {}`),
		"tar, compressed, hidden": settings("tar", "NONE", "", zstd, `transform "inverted" {}`),
		"plain, compressed":       settings("plain", "SHA512", "", zstd),
		"plain, elsewhere":        settings("plain", "SHA256", "      path = \""+elsewhere+"\""),
	} {
		t.Run(name, func(t *testing.T) { everyForm(t, take(t, c, text), elsewhere) })
	}
}

// verdicts holds ours against those of PostgreSQL's own program, on the same
// trees, without what receipts add.
func verdicts(t *testing.T, s *site) {
	s.withoutReceipts(t)
	here, there := s.relation("here"), s.relation("there")
	oid := strings.Split(there, "/")[1]
	below := func(path string) string { return s.base("data", path) }
	for name, test := range map[string]struct {
		path string
		how  func([]byte) []byte
		want []string // the files with problems
	}{
		"nothing":                   {"PG_VERSION", func(b []byte) []byte { return b }, nil},
		"a flipped bit":             {here, flipped, []string{here}},
		"a truncated file":          {here, truncated, []string{here}},
		"a file that is empty now":  {here, emptied, []string{here}},
		"a file with more":          {here, extended, []string{here}},
		"a missing file":            {here, removed, []string{here}},
		"no PG_VERSION":             {"PG_VERSION", removed, []string{"PG_VERSION"}},
		"a file too many":           {"base/stranger", added, []string{"base/stranger"}},
		"a temporary file":          {".barman-x.tmp", added, []string{".barman-x.tmp"}},
		"a strange name":            {"base/ü \\ $HOME", added, []string{"base/ü \\ $HOME"}},
		"a damaged tablespace":      {there, flipped, []string{there}},
		"a tablespace with less":    {there, removed, []string{there}},
		"a tablespace with more":    {"pg_tblspc/" + oid + "/stranger", added, []string{"pg_tblspc/" + oid + "/stranger"}},
		"settings of the recovery":  {"postgresql.auto.conf", added, nil},
		"no postgresql.auto.conf":   {"postgresql.auto.conf", removed, nil},
		"a signal file":             {"recovery.signal", added, nil},
		"another signal file":       {"standby.signal", added, nil},
		"WAL":                       {"pg_wal/000000010000000000000001", added, nil},
		"a manifest's flipped bit":  {stored.ManifestName, flipped, []string{stored.ManifestName}},
		"a shorter manifest":        {stored.ManifestName, truncated, []string{stored.ManifestName}},
		"an empty manifest":         {stored.ManifestName, emptied, []string{stored.ManifestName}},
		"a manifest of the other":   {stored.ManifestName, replaced(`"Size": `, `"Sise": `), []string{stored.ManifestName}},
		"a manifest with a new end": {stored.ManifestName, extended, []string{stored.ManifestName}},
	} {
		t.Run(name, func(t *testing.T) {
			change(t, below(test.path), test.how)
			report := s.run(t)
			if diff := cmp.Diff(test.want, files(report)); diff != "" {
				t.Errorf("(-want +got):\n%s%v", diff, report.Problems)
			}
			against, ok := judge(t, 15, below(""), "-n")
			if ok == report.Damaged() {
				t.Errorf("pg_verifybackup says %v, ours %v", ok, !report.Damaged())
			}
			if !slices.Contains(test.want, stored.ManifestName) && !slices.Equal(against, test.want) {
				t.Errorf("pg_verifybackup has something against %q", against)
			}
		})
	}
	t.Run("several at once", func(t *testing.T) {
		change(t, below(here), flipped)
		change(t, below(there), removed)
		change(t, below("stranger"), added)
		want := []string{here, there, "stranger"}
		slices.Sort(want)
		against, _ := judge(t, 15, below(""), "-n")
		if report := s.run(t); !slices.Equal(files(report), want) || !slices.Equal(against, want) {
			t.Errorf("%v, pg_verifybackup %q", report.Problems, against)
		}
	})
	t.Run("no regular file", func(t *testing.T) {
		change(t, below(here), removed)
		if err := os.Symlink(below("PG_VERSION"), below(here)); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, s.run(t), Missing, here)
	})
	t.Run("a link to elsewhere", func(t *testing.T) {
		change(t, below("log"), func([]byte) []byte { return []byte{} })
		if err := os.Remove(below("log")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/nonexistent", below("log")); err != nil {
			t.Fatal(err)
		}
		report := s.run(t)
		if report.Damaged() || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "log") {
			t.Errorf("%v, %v", report.Problems, report.Warnings)
		}
	})
	t.Run("a manifest of another cluster", func(t *testing.T) {
		content, err := os.ReadFile(below(stored.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(content, []byte("\"Files\""))
		list := content[len(head):bytes.LastIndex(content, []byte("\"Manifest-Checksum\""))]
		other := signed("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7,\n" + string(list))
		change(t, below(stored.ManifestName), func([]byte) []byte { return other })
		report := s.run(t)
		wantProblem(t, report, Damaged, stored.ManifestName)
		wantProblem(t, report, Damaged, controlFile)
	})
	t.Run("a file that is listed twice", func(t *testing.T) {
		content, err := os.ReadFile(below(stored.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(content), "\n")
		twice := strings.Join(append(lines[:3:3], lines[2:len(lines)-2]...), "")
		change(t, below(stored.ManifestName), func([]byte) []byte { return signed(twice) })
		wantProblem(t, s.run(t), Damaged, stored.ManifestName)
		if _, ok := judge(t, 15, below(""), "-n"); ok {
			t.Error("pg_verifybackup has nothing against it")
		}
	})
}

// receiptsTell checks what receipts add to a manifest, and what they tell alone.
func receiptsTell(t *testing.T, s *site) {
	here := s.relation("here")
	object := "base/" + string(s.backup.ID) + "/data/"
	t.Run("what pg_verifybackup leaves out", func(t *testing.T) {
		change(t, s.base("data", "postgresql.auto.conf"), extended)
		report := s.run(t)
		if want := []Problem{{Kind: Size, File: "postgresql.auto.conf", Object: object + "postgresql.auto.conf", Text: report.Problems[0].Text}}; !cmp.Equal(want, report.Problems) {
			t.Errorf("%v", report.Problems)
		}
	})
	t.Run("a damaged manifest", func(t *testing.T) {
		change(t, s.base("data", stored.ManifestName), flipped)
		change(t, s.base("data", here), flipped)
		report := s.run(t)
		wantProblem(t, report, Damaged, stored.ManifestName)
		wantProblem(t, report, Checksum, stored.ManifestName)
		wantProblem(t, report, Checksum, here)
		if len(report.Problems) != 3 {
			t.Errorf("%v", report.Problems)
		}
	})
	t.Run("no manifest", func(t *testing.T) {
		change(t, s.base("data", stored.ManifestName), removed)
		wantProblem(t, s.run(t), Missing, stored.ManifestName)
		change(t, s.base("data", "base/stranger"), added)
		change(t, s.base("data", here), removed)
		change(t, s.base("data", "PG_VERSION"), flipped)
		report := s.run(t)
		wantProblem(t, report, Extra, "base/stranger")
		wantProblem(t, report, Missing, here)
		wantProblem(t, report, Checksum, "PG_VERSION")
		if len(report.Problems) != 4 || report.Manifest || !report.Receipts {
			t.Errorf("%+v", report)
		}
	})
	t.Run("a missing directory", func(t *testing.T) {
		if err := os.Remove(s.base("data", "pg_twophase")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Mkdir(s.base("data", "pg_twophase"), 0o700); err != nil {
				t.Fatal(err)
			}
		})
		wantProblem(t, s.run(t), Missing, "pg_twophase")
	})
	t.Run("damaged receipts", func(t *testing.T) {
		change(t, s.base(catalogue.ReceiptsName), func(b []byte) []byte { return append(b, "{\n"...) })
		report := s.run(t)
		wantProblem(t, report, Damaged, catalogue.ReceiptsName)
		if len(report.Problems) != 1 || report.Receipts {
			t.Errorf("%+v", report)
		}
	})
	t.Run("neither", func(t *testing.T) {
		s.withoutReceipts(t)
		change(t, s.base("data", stored.ManifestName), removed)
		_, err := Run(t.Context(), s.Server.Server, Request{Backup: s.backup})
		if sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), "barman generate-manifest main "+string(s.backup.ID)) {
			t.Error(err)
		}
	})
}

// walIsRead checks that the WAL a backup needs is followed record by record.
func walIsRead(t *testing.T, s *site) {
	first := s.backup.BeginWAL
	archived := walPath(t, s, first)
	check := func(t *testing.T) Report {
		t.Helper()
		report := s.runWith(t, Request{})
		_, ok := judge(t, 15, s.base("data"), "-w", filepath.Dir(archived))
		if ok == report.Damaged() {
			t.Errorf("pg_verifybackup says %v, ours %v", ok, report.Problems)
		}
		return report
	}
	if report := check(t); report.Segments == 0 || report.Damaged() {
		t.Fatalf("%+v", report)
	}
	start := int(*s.backup.BeginOffset)
	for name, test := range map[string]struct {
		how  func([]byte) []byte
		kind Kind
	}{
		"missing":   {removed, Missing},
		"truncated": {func(b []byte) []byte { return b[:start] }, Damaged},
		"a flipped bit in a record that is needed": {func(b []byte) []byte { b[start+30] ^= 1; return b }, Damaged},
		"zeros from the begin on":                  {func(b []byte) []byte { clear(b[start:]); return b }, Damaged},
		"not WAL":                                  {func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) }, Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			change(t, archived, test.how)
			report := check(t)
			wantProblem(t, report, test.kind, first)
			if s.run(t).Damaged() {
				t.Error("WAL was not left out")
			}
		})
	}
	t.Run("damaged in the archive, whole where it waits", func(t *testing.T) {
		content, err := os.ReadFile(archived)
		if err != nil {
			t.Fatal(err)
		}
		change(t, archived, truncated)
		change(t, filepath.Join(s.Catalogue.Layout().IncomingDirectory, first), func([]byte) []byte { return content })
		wantProblem(t, s.runWith(t, Request{}), Damaged, first)
	})
	t.Run("a manifest that asks for all WAL there can be", func(t *testing.T) {
		change(t, s.base("data", stored.ManifestName), func(b []byte) []byte {
			text := string(b[:bytes.LastIndex(b, []byte("\"Manifest-Checksum\""))])
			end := s.backup.EndLSN.String()
			if !strings.Contains(text, "\"End-LSN\": \""+end) {
				t.Fatal(text[len(text)-200:])
			}
			return signed(strings.Replace(text, "\"End-LSN\": \""+end, "\"End-LSN\": \"FFFFFFFF/FFFFFFFF", 1))
		})
		report := s.runWith(t, Request{})
		wantProblem(t, report, Damaged, stored.ManifestName)
		if report.Segments > 10 {
			t.Errorf("%d segments were looked for", report.Segments)
		}
	})
	t.Run("still on its way", func(t *testing.T) {
		change(t, archived, removed)
		waiting, err := s.Catalogue.Get(s.backup.ID)
		if err != nil {
			t.Fatal(err)
		}
		waiting.State = catalogue.StateWaitingForWALs
		if err := s.Catalogue.Save(waiting); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Catalogue.Save(s.backup); err != nil {
				t.Fatal(err)
			}
		})
		report := s.runWith(t, Request{})
		if report.Damaged() || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], first) {
			t.Errorf("%+v", report)
		}
	})
}

// manifestsAreMade makes a manifest anew, and has PostgreSQL's program judge it.
func manifestsAreMade(t *testing.T, s *site) {
	manifestPath := s.base("data", stored.ManifestName)
	_, err := GenerateManifest(t.Context(), s.Server.Server, s.backup, nil)
	if sdk.KindOf(err) != sdk.Exists || !strings.Contains(err.Error(), manifestPath) {
		t.Errorf("there is one: %v", err)
	}
	receiptsBefore := receiptsOf(s)
	change(t, manifestPath, removed)
	change(t, s.base(catalogue.ReceiptsName), func(b []byte) []byte { return b })
	change(t, s.base("data", "base", "no UTF-8 \xff"), added)
	change(t, s.base("data", "."+stored.ManifestName+".123.tmp"), added)
	made, err := GenerateManifest(t.Context(), s.Server.Server, s.backup, func(pipeline.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if made.Path != manifestPath || made.Files < 900 || len(made.Warnings) > 0 {
		t.Errorf("%+v", made)
	}
	if against, ok := judge(t, 15, s.base("data"), "-n"); !ok {
		t.Errorf("pg_verifybackup has something against %q", against)
	}
	if _, ok := judge(t, 15, s.base("data"), "-w", filepath.Dir(walPath(t, s, s.backup.BeginWAL))); !ok {
		t.Error("pg_verifybackup has something against the WAL")
	}
	// The file that was added is not in the receipts, and nothing else differs.
	if report := s.runWith(t, Request{}); report.Damaged() || !report.Manifest || !report.Receipts {
		t.Errorf("%+v", report)
	}
	if after := receiptsOf(s); len(after) != len(receiptsBefore) {
		t.Errorf("%d receipts, %d before", len(after), len(receiptsBefore))
	}
	t.Run("killed before the receipts have it", func(t *testing.T) {
		change(t, s.base(catalogue.ReceiptsName), func(b []byte) []byte {
			lines := slices.DeleteFunc(strings.SplitAfter(string(b), "\n"), func(line string) bool { return strings.Contains(line, stored.ManifestName) })
			return []byte(strings.Join(lines, ""))
		})
		if report := s.run(t); report.Damaged() {
			t.Errorf("%v", report.Problems)
		}
	})
	for _, path := range []string{s.relation("here"), s.relation("there"), "base/no UTF-8 \xff"} {
		t.Run(path, func(t *testing.T) {
			change(t, s.base("data", path), flipped)
			against, ok := judge(t, 15, s.base("data"), "-n")
			report := s.run(t)
			if ok || len(against) != 1 || len(report.Problems) != 1 || report.Problems[0].File != path {
				t.Errorf("%v, pg_verifybackup %q", report.Problems, against)
			}
		})
	}
}

func refusals(t *testing.T, s *site) {
	for _, state := range []catalogue.State{catalogue.StateEmpty, catalogue.StateStarted, catalogue.StateFailed, catalogue.StateSyncing} {
		b := *s.backup
		b.State = state
		if _, err := Run(t.Context(), s.Server.Server, Request{Backup: &b}); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), string(state)) {
			t.Errorf("%s: %v", state, err)
		}
		if _, err := GenerateManifest(t.Context(), s.Server.Server, &b, nil); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: %v", state, err)
		}
	}
	snapshot := *s.backup
	snapshot.Mode = "snapshot-concurrent"
	if _, err := Run(t.Context(), s.Server.Server, Request{Backup: &snapshot}); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "snapshot") {
		t.Error(err)
	}
	lock, err := s.Catalogue.Lock(string(s.backup.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), s.Server.Server, Request{Backup: s.backup}); sdk.KindOf(err) != sdk.Busy {
		t.Errorf("while it is deleted: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(cancelled, s.Server.Server, Request{Backup: s.backup}); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// everyForm checks a backup that comes through the pipeline, and its damage.
func everyForm(t *testing.T, s *site, elsewhere string) {
	report := s.runWith(t, Request{})
	if report.Damaged() || !report.Manifest || !report.Receipts || report.Files < 900 || report.Segments == 0 {
		t.Fatalf("%+v", report)
	}
	if len(report.Warnings) > 0 {
		t.Error(report.Warnings)
	}
	t.Run("without receipts", func(t *testing.T) {
		if strings.Contains(t.Name(), "hidden") || strings.Contains(t.Name(), "plain,_compressed") {
			return // only receipts know what was done to it
		}
		s.withoutReceipts(t)
		if report := s.run(t); report.Damaged() || report.Receipts {
			t.Errorf("%+v", report)
		}
	})
	if _, err := GenerateManifest(t.Context(), s.Server.Server, s.backup, nil); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "plain files") {
		t.Errorf("a manifest of it: %v", err)
	}
	root := filepath.Dir(filepath.Dir(s.base()))
	if _, err := os.Stat(filepath.Join(elsewhere, "base", string(s.backup.ID))); err == nil {
		root = elsewhere
	}
	damaged := slices.DeleteFunc(receiptsOf(s), func(o catalogue.ObjectReceipt) bool {
		return !strings.Contains(o.Name, ".tar") && !strings.HasPrefix(filepath.Base(o.Name), filepath.Base(s.relation("there")))
	})
	for name, how := range map[string]func([]byte) []byte{"flipped": flipped, "truncated": truncated, "removed": removed, "extended": extended} {
		o := damaged[len(name)%len(damaged)]
		t.Run(filepath.Base(o.Name)+" "+name, func(t *testing.T) {
			change(t, filepath.Join(root, o.Name), how)
			report := s.run(t)
			if !slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.File == o.Name || p.Object == o.Name }) {
				t.Errorf("%s is not named: %+v", o.Name, report)
			}
		})
	}
	t.Run("a damaged manifest", func(t *testing.T) {
		found, err := filepath.Glob(filepath.Join(root, "base", string(s.backup.ID), "data", stored.ManifestName+"*"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		change(t, found[0], flipped)
		wantProblem(t, s.run(t), Damaged, stored.ManifestName)
	})
}

// A tar file is only compared, whatever its members are called.
func TestMembersOfAnArchiveLeadNowhere(t *testing.T) {
	for name, want := range map[string]string{
		"base/1/2": "base/1/2", "./PG_VERSION": "PG_VERSION", "/etc/passwd": "etc/passwd", "../../etc/passwd": "../../etc/passwd",
	} {
		if got := memberPath(".", name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := memberPath("pg_tblspc/16400", "PG_15_202209061/5/1"); got != "pg_tblspc/16400/PG_15_202209061/5/1" {
		t.Error(got)
	}
}

func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "PG_VERSION", Size: 3, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte("15\n")); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:700])
	f.Fuzz(func(t *testing.T, content []byte) {
		r := &run{}
		if err := r.archive(t.Context(), "base.tar", "base/x/data/base.tar", bytes.NewReader(content)); err != nil {
			t.Error(err)
		}
	})
}

func TestAnIndexKnowsWhatItWasTold(t *testing.T) {
	x := newIndex()
	for i := range 1000 {
		x.add(fmt.Sprint("base/", i), int64(i), 0, []byte{byte(i)})
	}
	if x.seal() {
		t.Error("a name came twice")
	}
	for i := range 1000 {
		e, known, again := x.find(fmt.Sprint("base/", i))
		if !known || again || e.size != int64(i) || !x.matches(e, []byte{byte(i)}) || x.matches(e, []byte{byte(i), 0}) {
			t.Errorf("%d: %+v, %v, %v", i, e, known, again)
		}
	}
	if _, _, again := x.find("base/7"); !again || !x.wasFound("base/7") || x.wasFound("base/x") || x.has("base/1000") {
		t.Error("it does not know what was found")
	}
	if !x.complete() {
		t.Error("all were found, and it does not know")
	}
	var none *index
	if _, known, _ := none.find("x"); known || none.has("x") || none.wasFound("x") || !none.complete() {
		t.Error("nothing knows something")
	}
	x.add("base/7", 7, 0, nil)
	if !x.seal() {
		t.Error("a name came twice, and nobody noticed")
	}
}

func TestAProblemIsOneLine(t *testing.T) {
	for file, want := range map[string]string{
		"base/1":        "base/1: is gone",
		"base/ü":        "base/ü: is gone",
		"a\nb":          `"a\nb": is gone`,
		"a\x1b[31m":     `"a\x1b[31m": is gone`,
		"no UTF-8 \xff": `"no UTF-8 \xff": is gone`,
	} {
		if got := (Problem{File: file, Text: "is gone"}).String(); got != want {
			t.Errorf("%q", got)
		}
	}
}

func TestOfManyProblemsSomeAreKept(t *testing.T) {
	var p problems
	for i := range mostProblems + 5 {
		p.add(Missing, fmt.Sprintf("%06d", mostProblems-i), "", "is gone")
	}
	if len(p.sorted()) != mostProblems || p.more != 5 || p.count() != mostProblems+5 || !slices.IsSortedFunc(p.found, func(a, b Problem) int { return strings.Compare(a.File, b.File) }) {
		t.Errorf("%d kept, %d more", len(p.found), p.more)
	}
}
