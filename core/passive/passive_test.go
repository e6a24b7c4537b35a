package passive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)

func TestABackupAndItsWALAreCopied(t *testing.T) {
	p := newPair(t, "")
	p.archive(p.primary, 1, 'x') // of before the oldest backup
	p.archive(p.primary, 2, 'x')
	first := p.back(noon, 2)
	second := p.back(noon.Add(time.Hour), 3)
	p.archive(p.primary, 3, 'x')
	b, w := p.mustSync()
	if b.ID != first || b.Outcome != Copied || b.State != catalogue.StateWaitingForWALs || w.Copied != 2 || w.Known != 0 {
		t.Errorf("%+v, %+v", b, w)
	}
	b, w = p.mustSync()
	if b.ID != second || b.State != catalogue.StateDone || w.Copied != 0 {
		t.Errorf("%+v, %+v", b, w)
	}
	if b, _ = p.mustSync(); b.Outcome != Complete {
		t.Errorf("%+v", b)
	}
	for _, id := range []catalogue.BackupID{first, second} {
		for _, name := range []string{"data/PG_VERSION", "data/it's; a file", "backup.info"} {
			want, err := os.ReadFile(filepath.Join(p.primary.Catalogue.Directory(id), name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(p.other.Catalogue.Directory(id), name))
			if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
				t.Errorf("%s of %s: %v %s", name, id, err, diff)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(p.other.Catalogue.Layout().WALsDirectory, "sync-wals.info")); err != nil || !strings.HasPrefix(string(text), segmentName(3)+"\t") {
		t.Errorf("%q, %v", text, err)
	}
	p.archive(p.primary, 4, 'x')
	if _, w = p.mustSync(); w.Copied != 1 {
		t.Errorf("%+v", w)
	}
}

func TestAPrimaryThatIsAwayIsSaidAndNothingIsLost(t *testing.T) {
	p := newPair(t, "")
	id := p.back(noon, 2)
	p.archive(p.primary, 2, 'x')
	back := p.leads("echo 'ssh: connect to host first port 22: Connection refused' >&2; exit 255; :")
	_, err := p.syncBackup("")
	wantKind(t, err, sdk.Unavailable)
	_, err = SyncWAL(t.Context(), p.other.Server)
	wantKind(t, err, sdk.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("%v", err)
	}
	back()
	// It goes away while the backup is copied.
	back = p.leads("f() { case $1 in *rsync*) exit 255;; *) " + p.other.Server.Config.PrimarySSHCommand + ` "$1";; esac; }; f`)
	_, err = p.syncBackup(id)
	wantKind(t, err, sdk.Unavailable)
	if b, err := p.other.Catalogue.Get(id); err != nil || b.State != catalogue.StateFailed {
		t.Errorf("%+v, %v", b, err)
	}
	back()
	if b, _ := p.mustSync(); b.ID != id || b.Outcome != Copied {
		t.Errorf("%+v", b)
	}
	if b, err := p.other.Catalogue.Get(id); err != nil || b.State != catalogue.StateDone || b.Error != "" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWhatAKilledCopyLeftIsReplaced(t *testing.T) {
	p := newPair(t, "")
	id := p.back(noon, 2)
	name := p.archive(p.primary, 2, 'x')
	left, err := p.primary.Catalogue.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	left.State = catalogue.StateSyncing
	if err := p.other.Catalogue.Save(left); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(p.other.Catalogue.Directory(id), "data")
	write(t, filepath.Join(data, "PG_VERSION"), []byte("1"))
	write(t, filepath.Join(data, "stranger"), []byte("x"))
	write(t, p.other.Catalogue.WALPath(name), []byte{'x', 2}) // and was not recorded
	write(t, filepath.Join(p.other.Catalogue.Layout().WALsDirectory, landingDirectory, "half"), nil)
	b, w := p.mustSync()
	if b.Outcome != Copied || w.Known != 1 || w.Copied != 0 {
		t.Errorf("%+v, %+v", b, w)
	}
	if recorded, err := p.other.Catalogue.HasRecord(name); err != nil || !recorded {
		t.Errorf("%s is not in the index: %v", name, err)
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(p.other.Catalogue.Layout().WALsDirectory, landingDirectory)); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

func TestAFileOfTheArchiveIsNeverOverwritten(t *testing.T) {
	p := newPair(t, "")
	p.back(noon, 2)
	name := p.archive(p.primary, 2, 'x')
	p.archive(p.primary, 3, 'x')
	p.archive(p.other, 2, 'y')
	w, err := SyncWAL(t.Context(), p.other.Server)
	wantKind(t, err, sdk.Exists)
	if w.Copied != 1 {
		t.Errorf("the others did not come: %+v", w)
	}
	if content, err := os.ReadFile(p.other.Catalogue.WALPath(name)); err != nil || string(content) != "y\x02" {
		t.Errorf("%q, %v", content, err)
	}
	aside, err := filepath.Glob(filepath.Join(p.other.Catalogue.Layout().ErrorsDirectory, name.String()+".*.duplicate"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("%v, %v", aside, err)
	}
	if content, err := os.ReadFile(aside[0]); err != nil || string(content) != "x\x02" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestABackupThatThePrimaryDeletesMeanwhileIsGivenUp(t *testing.T) {
	p := newPair(t, "")
	id := p.back(noon, 2)
	p.archive(p.primary, 2, 'x')
	// It is deleted as soon as its files have been asked for.
	back := p.leads("f() { " + p.other.Server.Config.PrimarySSHCommand + ` "$1"; code=$?; case $1 in *rsync*) rm -f '` +
		filepath.Join(p.primary.Catalogue.Directory(id), "backup.info") + `';; esac; exit $code; }; f`)
	_, err := p.syncBackup(id)
	wantKind(t, err, sdk.NotFound)
	back()
	if b, err := p.other.Catalogue.Get(id); err != nil || b.State != catalogue.StateFailed {
		t.Errorf("%+v, %v", b, err)
	}
	report, err := p.syncBackup(id)
	if err != nil || report.Outcome != Deleted {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := os.Stat(p.other.Catalogue.Directory(id)); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
	_, err = p.syncBackup(id)
	wantKind(t, err, sdk.NotFound)
}

func TestAnObsoleteBackupIsNotCopied(t *testing.T) {
	p := newPair(t, "retention {\n policy = \"REDUNDANCY 1\"\n}\n")
	first, second := p.back(noon, 2), p.back(noon.Add(time.Hour), 2)
	p.archive(p.primary, 2, 'x')
	if _, err := p.syncBackup(second); err != nil {
		t.Fatal(err)
	}
	if _, err := SyncWAL(t.Context(), p.other.Server); err != nil {
		t.Fatal(err)
	}
	if b, err := p.syncBackup(first); err != nil || b.Outcome != Obsolete {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err := p.syncBackup(""); err != nil || b.Outcome != Complete {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestAPositionThatThePrimaryDoesNotKnowMakesItCompareEverything(t *testing.T) {
	p := newPair(t, "")
	p.back(noon, 2)
	p.archive(p.primary, 2, 'x')
	p.mustSync()
	if err := savePosition(p.other.Server, Position{Name: segmentName(9), Offset: 100}); err != nil {
		t.Fatal(err)
	}
	_, w := p.mustSync()
	if w.Known != 1 || len(w.Warnings) != 1 {
		t.Errorf("%+v", w)
	}
}

func TestInformationIsOfWhatComesAfterAPosition(t *testing.T) {
	p := newPair(t, "")
	p.archive(p.primary, 1, 'x')
	p.back(noon, 2)
	for n := 2; n < 5; n++ {
		p.archive(p.primary, n, 'x')
	}
	line := int64(len(segmentName(1) + "\t2\t1700000000.0\tNone\n"))
	p.archive(p.primary, 0, 'x') // late
	for name, test := range map[string]struct {
		after Position
		want  []int
		fails bool
	}{
		"the beginning":           {Position{}, []int{2, 3, 4}, false},
		"a file and its position": {Position{segmentName(3), 2 * line}, []int{4, 0}, false},
		"a file":                  {Position{segmentName(3), 0}, []int{4}, false},
		"a wrong position":        {Position{segmentName(3), 2*line + 1}, []int{4}, false},
		"the last position":       {Position{segmentName(0), 4 * line}, nil, false},
		"a file to come":          {Position{segmentName(5), 0}, nil, true},
		"no file":                 {Position{"x", 0}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := Collect(t.Context(), p.primary.Server, test.after, nil)
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			var got, want []string
			for _, f := range info.WALs {
				got = append(got, f.Name)
			}
			for _, n := range test.want {
				want = append(want, segmentName(n))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if !test.fails && (info.LastName != segmentName(0) || info.LastPosition != 4*line) {
				t.Errorf("%s at %d", info.LastName, info.LastPosition)
			}
		})
	}
}

func TestOnlyAPassiveServerIsCopied(t *testing.T) {
	p := newPair(t, "")
	_, err := Of(p.primary.Server)
	wantKind(t, err, sdk.Invalid)
	if _, err := p.other.Server.Connect(t.Context()); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("its PostgreSQL: %v", err)
	}
}

func TestWhatAPrimarySaysIsNotTrusted(t *testing.T) {
	good := `"config":{"basebackups_directory":"/b","wals_directory":"/w"}`
	for name, text := range map[string]string{
		"nothing":       ``,
		"a bad backup":  `{` + good + `,"backups":{"../x":{}}}`,
		"a bad file":    `{` + good + `,"wals":[{"name":"../x","size":1,"time":1.5}]}`,
		"a bad time":    `{` + good + `,"wals":[{"name":"` + segmentName(1) + `","size":1,"time":"now"}]}`,
		"a bad size":    `{` + good + `,"wals":[{"name":"` + segmentName(1) + `","size":-1,"time":1}]}`,
		"no directory":  `{"config":{}}`,
		"a bad ending":  `{` + good + `,"last_name":"../x"}`,
		"no time given": `{` + good + `,"wals":[{"name":"` + segmentName(1) + `","size":1}]}`,
	} {
		if _, err := parseInfo([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := parseInfo([]byte(`{` + good + `}`)); err != nil {
		t.Error(err)
	}
}

func FuzzWhatAPrimarySays(f *testing.F) {
	f.Add([]byte(`{"config":{"basebackups_directory":"/b","wals_directory":"/w"},"backups":{"20260102T120000":{}},"wals":[{"name":"000000010000000000000001","size":1,"time":1.5,"compression":"gzip"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := parseInfo(text)
		if err != nil {
			return
		}
		for id, document := range info.Backups {
			if strings.ContainsAny(id, "/.") {
				t.Errorf("%q", id)
			}
			_ = endTime(document)
		}
		for _, w := range info.WALs {
			if strings.ContainsRune(w.Name, '/') {
				t.Errorf("%q", w.Name)
			}
		}
	})
}

func FuzzPositions(f *testing.F) {
	f.Add("000000010000000000000003\t52")
	f.Fuzz(func(t *testing.T, text string) {
		p := parsePosition(text)
		if p.Offset < 0 || strings.ContainsAny(p.Name, "/\t") {
			t.Errorf("%q is %+v", text, p)
		}
	})
}
