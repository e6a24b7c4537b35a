package cloud

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
)

func TestWhatKilledBackupsLeftIsRemovedOnceNothingHasComeForLong(t *testing.T) {
	p := newPlace(t)
	long, brief := time.Now().Add(-abandoned-time.Hour), time.Now().Add(-abandoned+time.Hour)
	for id, objects := range map[string]map[string]time.Time{
		"20260101T000001": {"barman-objects.jsonl": long, "data/base.tar": long},                          // killed long ago
		"20260101T000002": {"barman-objects.jsonl": long, "data/base.tar": long, "data/16400.tar": brief}, // may run still
		"20260101T000003": {"barman-objects.jsonl": long, "data/base.tar": long, "backup.info": long},     // is a backup
		"20260101T000004": {"data/base.tar": long},                                                        // another program's
		"20260101T000005": {"barman-objects.jsonl": long, "annotations/keep": long},
	} {
		for name, at := range objects {
			object := "base/" + id + "/" + name
			p.write(object, "x")
			if err := os.Chtimes(filepath.Join(p.root, object), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, err := p.claim(t.Context(), time.Now(), newReceipts(pipeline.Line{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.sweep(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	left := map[string]int{}
	err = filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(p.root, path)
			left[strings.Split(name, "/")[1]]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if left["20260101T000001"] != 0 || left["20260101T000002"] != 3 || left["20260101T000003"] != 3 || left["20260101T000004"] != 1 || left["20260101T000005"] != 2 || left[string(id)] != 1 {
		t.Errorf("%v", left)
	}
}

func TestOfBackupsThatBeginInOneSecondEachGetsAnIDOfItsOwn(t *testing.T) {
	p := newPlace(t)
	begun := time.Now()
	taken := catalogue.NewBackupID(begun)
	p.write("base/"+string(taken)+"/data/base.tar", "another program's, which makes no claims")
	var mu sync.Mutex
	ids := []catalogue.BackupID{taken}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			id, err := p.claim(t.Context(), begun, newReceipts(pipeline.Line{}))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if slices.Contains(ids, id) {
				t.Errorf("%s twice", id)
			}
			ids = append(ids, id)
		})
	}
	group.Wait()
}
