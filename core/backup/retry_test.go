package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// failingOnce is a source that fails at its first copy.
func failingOnce(t *testing.T) string {
	t.Helper()
	mark := filepath.Join(t.TempDir(), "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("source \"generated\" {\n      fails_once = %q\n    }", mark)
}

func TestACopyThatFailedBeginsAnewWithNothingLeftOfTheOneBefore(t *testing.T) {
	second := t.TempDir()
	sinks := fmt.Sprintf("sink \"posix\" {}\n    sink \"posix\" {\n      path = %q\n    }\n    retry_times = 1\n    retry_sleep = \"1ms\"", second)
	s := newSite(t, pipelineOf(failingOnce(t), sinks))
	b, err := s.take(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.State != catalogue.StateWaitingForWALs || !strings.Contains(s.log.String(), "begins anew") {
		t.Errorf("%s; the log:\n%s", b.State, s.log)
	}
	want := []string{"data/object-0000", "data/object-0001", "data/object-0002"}
	for _, root := range []string{s.Catalogue.Directory(b.ID), filepath.Join(second, "base", string(b.ID))} {
		stored, err := filepath.Glob(filepath.Join(root, "data", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range stored {
			stored[i] = strings.TrimPrefix(stored[i], root+"/")
		}
		if diff := cmp.Diff(want, stored); diff != "" {
			t.Errorf("%s: %s", root, diff)
		}
	}
	var receipts []string
	_, all, err := s.Catalogue.Receipts(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	for receipt, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, receipt.Name)
	}
	if len(receipts) != len(want) {
		t.Errorf("receipts of %q", receipts)
	}
}

func TestACopyIsTriedAsOftenAsIsAskedFor(t *testing.T) {
	none, pause := 0, time.Millisecond
	s := newSite(t, pipelineOf(failingOnce(t), "sink \"posix\" {}\n    retry_times = 5"))
	b, err := s.take(Options{RetryTimes: &none})
	wantError(t, err, sdk.Unknown, "it fails once")
	s.wantFailed(b, "it fails once")

	s = newSite(t, pipelineOf("source \"generated\" {\n      complaint = \"no more tape\"\n    }", `sink "posix" {}`))
	twice := 2
	b, err = s.take(Options{RetryTimes: &twice, RetrySleep: &pause})
	wantError(t, err, sdk.Unknown, "no more tape")
	s.wantFailed(b, "no more tape")
	if n := strings.Count(s.log.String(), "begins anew"); n != twice {
		t.Errorf("it began anew %d times", n)
	}
}

func TestChoicesForOneBackupHoldInsteadOfTheConfiguration(t *testing.T) {
	s := newSite(t, pipelineOf("source \"generated\" {\n      objects = 7\n      size = 10\n    }", `sink "posix" {}`))
	b, err := s.take(Options{Source: []Choice{
		{Option: "--objects", Settings: []Setting{{Name: "number_of_objects", Value: 1}, {Name: "objects", Value: 2}, {Name: "size", Value: 1}}},
		{Option: "--size", Settings: []Setting{{Name: "size"}}},
		{Option: "--reuse-backup", Settings: []Setting{{Name: "reuse_backup", Value: "link"}}, Optional: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if *b.Size != 200_000 {
		t.Errorf("%d bytes", *b.Size)
	}
	if !strings.Contains(s.log.String(), "--reuse-backup has no effect") {
		t.Errorf("the log:\n%s", s.log)
	}
	_, err = s.take(Options{Source: []Choice{{Option: "--bwlimit", Settings: []Setting{{Name: "max_rate", Value: 1}, {Name: "bandwidth_limit", Value: 1}}}}})
	wantError(t, err, sdk.Invalid, "--bwlimit", `"generated"`, "max_rate or bandwidth_limit")
}
