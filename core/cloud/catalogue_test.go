package cloud

import (
	"testing"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

func TestAServerOfWhichNothingIsKnownHasNoBackups(t *testing.T) {
	found, err := newPlace(t).Catalogue(t.Context())
	if err != nil || len(found.Entries) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestBackupsAreFoundByIDShortcutAndName(t *testing.T) {
	p := newPlace(t)
	p.backup(1, 2, func(b *catalogue.Backup) { b.Name = "weekly" })
	p.backup(2, 4, func(b *catalogue.Backup) { b.Name = "broken"; b.State = catalogue.StateFailed })
	p.backup(3, 6, func(b *catalogue.Backup) { b.Name = "twice" })
	p.backup(4, 8, func(b *catalogue.Backup) { b.Name = "twice" })
	p.write("base/20260105T000000/backup.info", "what is this\n")
	found, err := p.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]catalogue.BackupID{
		string(day(2)): day(2), "first": day(1), "oldest": day(1), "last": day(4), "latest": day(4), "last-failed": day(2), "weekly": day(1), "broken": day(2),
	} {
		if b, err := found.Resolve(reference); err != nil || b.ID != want {
			t.Errorf("%s: %+v, %v", reference, b, err)
		}
	}
	for reference, want := range map[string]sdk.ErrorKind{string(day(9)): sdk.NotFound, "nobody": sdk.NotFound, "twice": sdk.Invalid, string(day(5)): sdk.Corrupt} {
		if b, err := found.Resolve(reference); sdk.KindOf(err) != want {
			t.Errorf("%s: %+v, %v", reference, b, err)
		}
	}
}
