//go:build linux && amd64

package chaos_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/chaos"
)

// backing is "barman backup".
type backing struct{ *site }

func (b backing) prepare() error {
	clear(b.wal)
	return b.clear(b.hcl)
}

func (b backing) command() chaos.Command { return b.barman("backup", "main") }

func (b backing) check(o chaos.Outcome) error {
	all, err := b.backups()
	if err != nil {
		return err
	}
	good := 0
	for _, i := range all {
		if i.copied() {
			good++
		}
	}
	if o.Code == 0 && good == 0 {
		return fmt.Errorf("it says that all is well, and the backups are %v", all)
	}
	return nil
}

// next takes the next backup and recovers everything that is listed as good.
func (b backing) next() error {
	if err := b.run("backup", "main"); err != nil {
		return err
	}
	if err := b.deliver(); err != nil {
		return err
	}
	if err := b.run("archive-wal", "main"); err != nil {
		return err
	}
	all, err := b.backups()
	if err != nil {
		return err
	}
	for _, i := range all {
		switch i.status {
		case "FAILED":
		case "DONE":
			if err := b.restores(i); err != nil {
				return err
			}
		default:
			return fmt.Errorf("backup %s is still %s", i.id, i.status)
		}
	}
	if len(all) == 0 || all[len(all)-1].status != "DONE" {
		return fmt.Errorf("the backup taken last is not DONE: %v", all)
	}
	return nil
}

func TestChaosOfBackup(t *testing.T) {
	for name, transform := range map[string]string{"plain": "", "zstd": `transform "compress" { codec = "zstd" }`} {
		t.Run(name, func(t *testing.T) { walk(t, backing{newSite(t, transform)}) })
	}
}

// What rsync writes is not barman's to say, but what becomes of it is.
func TestChaosOfBackupWithRsync(t *testing.T) {
	s := newSite(t, "")
	s.hcl = strings.Replace(s.hcl, `source "pgbasebackup" { checkpoint = "fast" }`, "source \"rsync\" {\n immediate_checkpoint = true\n reuse_backup = \"link\"\n }", 1)
	walk(t, backing{s})
}
