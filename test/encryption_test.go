package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// A key pair that protects nothing but the rows of this test.
const (
	ageRecipient = "age1v6cdvw8m6nmezxdu9drj3svqdwfsvlau9navevvxdeee94evpyhq4yjs37"
	ageIdentity  = "AGE-SECRET-KEY-1DGDK87088SFWW2N5EZK9KPDURDXX8EHZMSAXFK5YZKYGGHS45LAQ99F5Y0\n"
)

// The plugin is that of examples/transform-age, built from a module of its own
// as a third party would.
func TestAThirdPartysPluginEncryptsBackupsAndWAL(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Options{Major: 15, Tablespaces: []string{"side"}}, "")
	identity := filepath.Join(pgtest.Scratch(t), "identity")
	if err := os.WriteFile(identity, []byte(ageIdentity), 0o600); err != nil {
		t.Fatal(err)
	}
	age := fmt.Sprintf("    transform \"age\" {\n      recipients    = [%q]\n      identity_file = %q\n    }\n    sink", ageRecipient, identity)
	encrypted := strings.ReplaceAll(zstdTar+receiveLZ4, "    sink", age)
	plugin := filepath.Join(pgtest.BarmanBin(t), "examples", "barman-plugin-transform-age")
	s.home.Configure(fmt.Sprintf("plugin \"transform\" \"age\" {\n  path = %q\n}\n", plugin) + serverBlock(s.Cluster, encrypted))
	s.home.Must("config", "validate")
	w := pgtest.StartWriter(t, s.Cluster, pgtest.WriterOptions{Tablespace: "side"})
	s.receive()
	id := s.backup()
	w.WaitRows(50)
	moment := w.Moment("")
	w.WaitRows(50)
	s.SwitchWAL()
	last := w.Stop()
	s.streamed(last.LSN)
	s.home.Must("archive-wal", "main")

	objects := stored(t, s.path())
	tars := 0
	for name := range objects {
		if strings.HasSuffix(name, ".tar.zst.age") {
			tars++
		}
		content, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		// The manifest is kept readable: it holds names, sizes and checksums, no rows.
		if !bytes.HasPrefix(content, []byte("age-encryption.org/v1\n")) && filepath.Base(name) != "backup_manifest" {
			t.Errorf("%s is not encrypted", name)
		}
	}
	if tars != 2 {
		t.Errorf("%d encrypted tar files, want 2: %v", tars, objects)
	}
	directory := s.restore(id, "--target-time", moment.Time)
	verify(t, directory)
	c := pgtest.StartExisting(t, s.Major, directory, nil)
	c.WaitRecovered()
	moment.Check(t, c)
	c = pgtest.StartExisting(t, s.Major, s.restore(id), nil)
	c.WaitRecovered()
	last.Check(t, c)

	// Without the key nothing is recovered, and what to do is said.
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	directory, options := s.destination()
	r := s.home.Run(append([]string{"recover", "main", id, directory}, options...)...)
	if r.Code == 0 || !strings.Contains(r.Stderr, identity) {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	s.refusesToStart(directory)
}
