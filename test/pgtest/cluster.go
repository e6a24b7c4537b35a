package pgtest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Options say what cluster to make. The zero value of everything but Major is a good choice.
type Options struct {
	Major         int               // required
	Config        map[string]string // settings of postgresql.conf, over the harness's own
	Tablespaces   []string          // names; each gets a directory of its own beside the data directory
	HBA           []string          // lines of pg_hba.conf before the last three, which let everybody in from here
	Auth          string            // how everybody is let in: "trust" (also when empty) or "scram-sha-256"
	Checksums     bool              // data checksums
	SegmentSizeMB int               // WAL segment size; 16 when zero
}

// Password is that of the superuser when Options.Auth asks for one.
const Password = "secret"

// Cluster is a PostgreSQL cluster that is stopped, at the latest, when its test ends.
type Cluster struct {
	Major       int
	DataDir     string
	SocketDir   string
	Port        int
	Tablespaces map[string]string // name to directory

	t        testing.TB
	bin      string
	auth     string
	settings []string // "name=value" on the command line, which wins over postgresql.conf
	logFile  string
	server   *process
}

// Start makes a cluster and starts it. Nothing is synced to disk unless Config says fsync=on: the machine does not crash.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := newCluster(t, o.Major)
	c.auth = o.Auth
	c.DataDir = filepath.Join(c.SocketDir, "data")
	c.initdb(o)
	c.appendConf(o.Config)
	c.writeHBA(o.HBA)
	c.Restart()
	for _, name := range o.Tablespaces {
		dir := filepath.Join(c.SocketDir, "tablespaces", name)
		mkdirAs(t, filepath.Dir(dir))
		mkdirAs(t, dir)
		c.Exec(fmt.Sprintf("CREATE TABLESPACE %q LOCATION '%s'", name, dir))
		c.Tablespaces[name] = dir
	}
	return c
}

// StartExisting starts the cluster in dataDir, a restored one, after giving it to whom PostgreSQL runs as, and waits until
// it lets clients in. The settings win over what its configuration files say, as do port and socket directory; the port is
// a free one unless the settings say "port".
func StartExisting(t testing.TB, major int, dataDir string, settings map[string]string) *Cluster {
	t.Helper()
	c, err := TryStart(t, major, dataDir, settings)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TryStart is StartExisting for a cluster that may refuse: the error then ends with the server's log.
func TryStart(t testing.TB, major int, dataDir string, settings map[string]string) (*Cluster, error) {
	t.Helper()
	Own(t, dataDir)
	c := newCluster(t, major)
	c.DataDir = dataDir
	if hba, err := os.ReadFile(filepath.Join(dataDir, "pg_hba.conf")); err == nil && strings.Contains(string(hba), "scram-sha-256") {
		c.auth = "scram-sha-256"
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == "port" {
			port, err := strconv.Atoi(settings[name])
			if err != nil {
				t.Fatal(err)
			}
			c.Port = port
			continue
		}
		c.settings = append(c.settings, name+"="+settings[name])
	}
	return c, c.start()
}

func newCluster(t testing.TB, major int) *Cluster {
	t.Helper()
	dir := Scratch(t)
	home := filepath.Join(dir, "pg")
	mkdirAs(t, home)
	c := &Cluster{
		Major: major, SocketDir: home, Tablespaces: map[string]string{},
		t: t, bin: Find(t, major).Bin, logFile: filepath.Join(dir, "server.log"),
	}
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the log of PostgreSQL %d in %s ends:\n%s", c.Major, c.DataDir, c.logTail())
		}
	})
	return c
}

func (c *Cluster) initdb(o Options) {
	c.t.Helper()
	args := []string{"-D", c.DataDir, "-U", "postgres", "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--auth=trust"}
	if o.SegmentSizeMB != 0 {
		args = append(args, "--wal-segsize="+strconv.Itoa(o.SegmentSizeMB))
	}
	switch {
	case o.Checksums:
		args = append(args, "--data-checksums")
	case o.Major >= 18: // where they are the default
		args = append(args, "--no-data-checksums")
	}
	if o.Auth == "scram-sha-256" {
		file := filepath.Join(filepath.Dir(c.logFile), "password")
		if err := os.WriteFile(file, []byte(Password+"\n"), 0o644); err != nil {
			c.t.Fatal(err)
		}
		args = append(args, "--pwfile="+file)
	}
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(c.bin, "initdb"), args...)
	c.asPostgres(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("initdb of PostgreSQL %d: %v\n%s", c.Major, err, out)
	}
}

func (c *Cluster) appendConf(config map[string]string) {
	c.t.Helper()
	all := map[string]string{
		"wal_level":              "replica",
		"max_wal_senders":        "10",
		"max_replication_slots":  "10",
		"shared_buffers":         "32MB",
		"fsync":                  "off",
		"log_line_prefix":        "%m [%p] %q%u@%d ",
		"log_timezone":           "UTC",
		"track_commit_timestamp": "on",
	}
	maps.Copy(all, config)
	var conf strings.Builder
	conf.WriteString("\n# set by the test\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(all[name], "'", "''"))
	}
	f, err := os.OpenFile(filepath.Join(c.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(conf.String()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) writeHBA(first []string) {
	c.t.Helper()
	auth := c.auth
	if auth == "" {
		auth = "trust"
	}
	lines := append(slices.Clone(first), "local all,replication all "+auth, "host all all 127.0.0.1/32 "+auth, "host replication all 127.0.0.1/32 "+auth)
	if err := os.WriteFile(filepath.Join(c.DataDir, "pg_hba.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// Conninfo is the superuser's connection string, over TCP.
func (c *Cluster) Conninfo() string { return c.ConninfoAs("postgres") + " dbname=postgres" }

// ReplicationConninfo is the connection string, without a database, that a streaming client uses as the given user.
func (c *Cluster) ReplicationConninfo(user string) string { return c.ConninfoAs(user) }

// ConninfoAs is the connection string of a user without a database; the superuser's comes with a password where one is asked for.
func (c *Cluster) ConninfoAs(user string) string {
	s := fmt.Sprintf("host=127.0.0.1 port=%d user=%s", c.Port, user)
	if user == "postgres" && c.auth == "scram-sha-256" {
		s += " password=" + Password
	}
	return s
}

// SocketConninfo is the superuser's connection string over the unix socket.
func (c *Cluster) SocketConninfo() string {
	return strings.Replace(c.Conninfo(), "host=127.0.0.1", "host="+c.SocketDir, 1)
}
