package pgtest

import (
	"os/exec"
	"strconv"
)

// PgbenchInit fills pgbench's tables: about 15 MB a unit of scale.
func (c *Cluster) PgbenchInit(scale int) {
	c.t.Helper()
	c.Pgbench("-i", "-q", "-s", strconv.Itoa(scale))
}

// Pgbench runs pgbench with the arguments, waits for it, and returns what it printed.
func (c *Cluster) Pgbench(args ...string) string {
	c.t.Helper()
	out, err := c.PgbenchCommand(args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("pgbench %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// PgbenchCommand is pgbench with the arguments, for a test that wants it to run in the background. It ends with the test.
func (c *Cluster) PgbenchCommand(args ...string) *exec.Cmd {
	c.t.Helper()
	args = append([]string{"-h", c.SocketDir, "-p", strconv.Itoa(c.Port), "-U", "postgres"}, args...)
	cmd := exec.CommandContext(c.t.Context(), Tool(c.t, c.Major, "pgbench"), append(args, "postgres")...)
	c.asPostgres(cmd)
	if c.auth == "scram-sha-256" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+Password)
	}
	return cmd
}
