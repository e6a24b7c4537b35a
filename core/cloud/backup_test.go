package cloud

import (
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

func TestTheArchiverHasReachedASegmentWithThatOrALaterOne(t *testing.T) {
	const needed = "000000010000000000000010"
	for archived, want := range map[string]bool{
		"": false, "00000001000000000000000F": false, needed: true, needed + ".00000028.backup": true, "000000010000000000000011": true,
		"000000020000000000000010": true, "00000002.history": false, "nonsense": false,
	} {
		if got := reaches(archived, needed); got != want {
			t.Errorf("%q: %t", archived, got)
		}
	}
}

func TestATargetChoosesTheNewestCompleteBackupThatLeadsThere(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	c := &Catalogue{server: "main"}
	for i, b := range []catalogue.Backup{
		{State: catalogue.StateDone, Timeline: 1, EndLSN: 10}, {State: catalogue.StateDone, Timeline: 2, EndLSN: 20}, {State: catalogue.StateFailed, Timeline: 2, EndLSN: 30},
		{State: catalogue.StateDone, Timeline: 1, EndLSN: 40}, {State: catalogue.StateDone, Timeline: 1, EndLSN: 50},
	} {
		b.EndTime = at.Add(time.Duration(i) * time.Second)
		b.ID = catalogue.NewBackupID(b.EndTime)
		c.Entries = append(c.Entries, catalogue.Entry{ID: b.ID, Backup: &b})
	}
	c.Entries = append(c.Entries, catalogue.Entry{ID: "20270102T030000", Err: sdk.Errorf(sdk.Corrupt, "damaged")})
	c.Entries[4].Backup.Fail(doneWhenMarked, errUnfinished) // as a deletion marks it
	for _, test := range []struct {
		target Target
		want   wal.LSN // of the end of the chosen one; 0 for none
	}{
		{Target{}, 40}, {Target{Timeline: 2}, 20}, {Target{Timeline: 3}, 0}, {Target{Time: at.Add(2500 * time.Millisecond)}, 20}, {Target{Time: at}, 10},
		{Target{Time: at.Add(-time.Second)}, 0}, {Target{LSN: 39}, 20}, {Target{LSN: 40}, 40}, {Target{LSN: 9}, 0}, {Target{LSN: 100, Timeline: 2}, 20},
	} {
		b, err := c.Choose(test.target)
		switch {
		case test.want == 0 && sdk.KindOf(err) != sdk.NotFound, test.want != 0 && err != nil:
			t.Errorf("%+v: %v", test.target, err)
		case err == nil && b.EndLSN != test.want:
			t.Errorf("%+v: the backup that ends at %s", test.target, b.EndLSN)
		}
	}
}

func TestWhatIsNotedOfObjectsIsReadAgain(t *testing.T) {
	r := newReceipts(pipeline.Line{Source: pipeline.Stage{Kind: "source", Name: "pgdata"}, Sinks: []pipeline.Stage{{Kind: "sink", Name: "s3"}}})
	if known, err := parseReceipts(r.text()); err != nil || known == nil || len(known) > 0 {
		t.Errorf("of none: %v, %v", known, err)
	}
	if err := r.keep([]sdk.Receipt{{Name: "base/20260102T030405/data/base.tar.gz", Size: 7, CRC32C: 8, SourceName: "base/20260102T030405/data/base.tar", SourceSize: 9, SourceCRC32C: 10}}); err != nil {
		t.Fatal(err)
	}
	known, err := parseReceipts(r.text())
	want := catalogue.ObjectReceipt{Name: "base/20260102T030405/data/base.tar.gz", Size: 9, CRC32C: 10, StoredSize: 7, StoredCRC32C: 8}
	if err != nil || len(known) != 1 || known[want.Name] != want || r.stored != 7 {
		t.Errorf("%v, %v", known, err)
	}
	for _, text := range []string{"", "{", "{\"format\":99}\n", "{\"format\":1}\nx\n"} {
		if known, err := parseReceipts([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, known)
		}
	}
}

func FuzzParseReceipts(f *testing.F) {
	f.Add([]byte("{\"format\":1}\n{\"name\":\"a\",\"crc32c\":\"00000001\"}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if known, err := parseReceipts(content); err == nil && known == nil {
			t.Error("nothing is known and nothing is wrong")
		}
	})
}
