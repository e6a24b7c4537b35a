//go:build linux && amd64

package chaos_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/test/chaos"
)

// pushing is "barman wal-archive" of a segment whose predecessor is archived.
type pushing struct{ archiving }

const (
	pushedBefore = "000000010000000000000001"
	pushedNow    = "000000010000000000000002"
)

func newPushing(t *testing.T, transform string) *pushing {
	return &pushing{archiving{place: newPlace(t), hcl: fmt.Sprintf(walServer, transform)}}
}

func (p *pushing) prepare() error {
	if err := p.clear(p.hcl); err != nil {
		return err
	}
	archive := p.path("home/main/wals/0000000100000000")
	for _, dir := range []string{archive, p.path("to")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for path, content := range map[string][]byte{
		filepath.Join(archive, pushedBefore): segment(1),
		p.path("home/main/wals/xlog.db"):     fmt.Appendf(nil, "%s\t%d\t%d\tNone\n", pushedBefore, smallSegment, modified.Unix()),
		p.path("to", pushedNow):              segment(2),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *pushing) command() chaos.Command {
	return p.barman("wal-archive", "main", p.path("to", pushedNow))
}

func (p *pushing) check(o chaos.Outcome) error {
	if there, err := os.ReadFile(p.path("to", pushedNow)); err != nil || !bytes.Equal(there, segment(2)) {
		return fmt.Errorf("PostgreSQL's file was touched (%v)", err)
	}
	archived, err := p.archived()
	if err != nil {
		return err
	}
	now, found := archived[pushedNow]
	switch {
	case !bytes.Equal(archived[pushedBefore], segment(1)):
		return fmt.Errorf("%s was touched", pushedBefore)
	case found && !bytes.Equal(now, segment(2)):
		return fmt.Errorf("%s is archived with %d bytes that are not PostgreSQL's", pushedNow, len(now))
	case o.Code == 0 && !found:
		return fmt.Errorf("it says that all is well, and %s is not archived", pushedNow)
	case o.Code > 125:
		return fmt.Errorf("exit code %d ends PostgreSQL's archiver", o.Code)
	case o.Code == 0:
		return p.recorded([]string{pushedBefore, pushedNow})
	}
	return nil
}

func (p *pushing) next() error {
	if err := p.run("wal-archive", "main", p.path("to", pushedNow)); err != nil {
		return err
	}
	if err := p.check(chaos.Outcome{}); err != nil {
		return err
	}
	return p.tidy()
}

func TestChaosOfWALArchive(t *testing.T) {
	walk(t, newPushing(t, `transform "compress" { codec = "lz4" }`))
}
