package test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/test/pgtest"
)

// debian is a program of Debian's packages barman and barman-cli.
func debian(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join("/usr/bin", program)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Barman in Python is not installed: %v: run \"make deps\"", err)
	}
	return path
}

// catalogue is a barman home with the server "main", which both programs can be
// called on.
type catalogue struct {
	t       *testing.T
	home    string            // barman_home
	options map[string]string // of server "main" in barman.conf
}

// newCatalogue makes an empty home below a directory, into which PostgreSQL can
// deliver WAL.
func newCatalogue(t *testing.T, below string) catalogue {
	t.Helper()
	dir, err := os.MkdirTemp(below, "")
	if err != nil {
		t.Fatal(err)
	}
	c := catalogue{t: t, home: filepath.Join(dir, "home")}
	for _, path := range []string{dir, c.home, c.path()} {
		mkdir(t, path, 0o755)
	}
	mkdir(t, c.path("incoming"), 0o777)
	return c
}

func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// with is the catalogue under other options, names and values by turns.
func (c catalogue) with(options ...string) catalogue {
	before := c.options
	c.options = map[string]string{}
	maps.Copy(c.options, before)
	for pair := range slices.Chunk(options, 2) {
		c.options[pair[0]] = pair[1]
	}
	return c
}

// of is the catalogue whose server "main" is a cluster.
func (c catalogue) of(server *pgtest.Cluster) catalogue {
	return c.with("conninfo", server.ConninfoAs("barman")+" dbname=postgres", "streaming_conninfo", server.ReplicationConninfo("streaming_barman"))
}

// copied is a copy of the catalogue beside it, file by file with modes and times,
// until the test ends.
func (c catalogue) copied(t *testing.T) catalogue {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(filepath.Dir(c.home)), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	run(t, "cp", "-a", c.home, dir)
	c.t, c.home = t, filepath.Join(dir, "home")
	return c
}

// path is a path in the server's directory.
func (c catalogue) path(elements ...string) string {
	return filepath.Join(append([]string{c.home, "main"}, elements...)...)
}

// barmanConf writes the configuration file that both programs are given.
func (c catalogue) barmanConf() string {
	c.t.Helper()
	self, err := user.Current()
	if err != nil {
		c.t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "[barman]\nbarman_home = %s\nbarman_user = %s\nlog_file = %s.log\n[main]\n", c.home, self.Username, c.home)
	options := map[string]string{
		"description":           "Main",
		"backup_method":         "postgres",
		"immediate_checkpoint":  "true",
		"archiver":              "on",
		"recovery_staging_path": os.TempDir(),
		"path_prefix":           filepath.Dir(pgtest.Tool(c.t, 15, "pg_basebackup")),
	}
	maps.Copy(options, c.options)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		fmt.Fprintf(&text, "%s = %s\n", name, options[name])
	}
	file, err := os.CreateTemp(filepath.Dir(c.home), "*.conf")
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text.String()); err != nil {
		c.t.Fatal(err)
	}
	return file.Name()
}

// A program is Debian's barman or ours, run to its end.
type program func(c catalogue, args ...string) pgtest.Result

// debians runs Debian's barman.
func (c catalogue) debians(args ...string) pgtest.Result {
	c.t.Helper()
	return pgtest.Run(c.t, exec.CommandContext(c.t.Context(), debian(c.t, "barman"), append([]string{"-c", c.barmanConf()}, args...)...))
}

// ours runs our barman.
func (c catalogue) ours(args ...string) pgtest.Result {
	c.t.Helper()
	return pgtest.Run(c.t, exec.CommandContext(c.t.Context(), filepath.Join(pgtest.BarmanBin(c.t), "barman"), append([]string{"-c", c.barmanConf()}, args...)...))
}

// must runs a command, which must succeed, and returns what it printed.
func (c catalogue) must(by program, args ...string) string {
	c.t.Helper()
	r := by(c, args...)
	if r.Code != 0 {
		c.t.Fatalf("barman %s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// ids are those of the backups whose directories are there, oldest first.
func (c catalogue) ids() []string {
	c.t.Helper()
	entries, err := os.ReadDir(c.path("base"))
	if err != nil {
		c.t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// newest is the ID of the newest backup, whatever became of it.
func (c catalogue) newest() string {
	c.t.Helper()
	ids := c.ids()
	if len(ids) == 0 {
		c.t.Fatal("there is no backup")
	}
	return ids[len(ids)-1]
}

// nextSecond waits until a backup gets an ID of its own: Debian's barman gives
// two of one second the same, and the first is lost.
func (c catalogue) nextSecond() {
	c.t.Helper()
	eventually(c.t, "the second of the last backup is over", func() bool {
		return !exists(c.path("base", time.Now().Format("20060102T150405")))
	})
}
