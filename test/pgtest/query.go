package pgtest

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Connect opens a connection as the superuser; it closes with the test.
func (c *Cluster) Connect() *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.Conninfo())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) })
	return conn
}

// Exec runs one statement, or several without arguments, as the superuser.
func (c *Cluster) Exec(sql string, args ...any) {
	c.t.Helper()
	ctx := c.t.Context()
	conn, err := pgx.Connect(ctx, c.Conninfo())
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// Query returns the one column that the statement selects, a value a row.
func Query[T any](c *Cluster, sql string, args ...any) []T {
	c.t.Helper()
	ctx := c.t.Context()
	conn, err := pgx.Connect(ctx, c.Conninfo())
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return values
}

// One returns the only value that the statement selects.
func One[T any](c *Cluster, sql string, args ...any) T {
	c.t.Helper()
	values := Query[T](c, sql, args...)
	if len(values) != 1 {
		c.t.Fatalf("%s: got %d rows, want one", sql, len(values))
	}
	return values[0]
}

// Wait runs the query until it selects true.
func (c *Cluster) Wait(sql string, args ...any) {
	c.t.Helper()
	deadline := time.Now().Add(readyWithin)
	for !One[bool](c, sql, args...) {
		if !c.Running() {
			c.t.Fatalf("the server ended while we waited for: %s", sql)
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not true after %s: %s", readyWithin, sql)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// WaitRecovered waits until recovery has ended, or pauses at its target.
func (c *Cluster) WaitRecovered() {
	c.t.Helper()
	c.Wait("SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() = 'paused' ELSE true END")
}

// Promote ends recovery and waits for that.
func (c *Cluster) Promote() {
	c.t.Helper()
	c.Exec("SELECT pg_promote()")
	c.Wait("SELECT NOT pg_is_in_recovery()")
}

// CommitsWaitFor names the synchronous standby, and returns when commits wait for it, whether it is there or not.
func (c *Cluster) CommitsWaitFor(standby string) {
	c.t.Helper()
	c.Exec("ALTER SYSTEM SET synchronous_standby_names = " + standby)
	c.Exec("SELECT pg_reload_conf()")
	c.Wait("SELECT current_setting('synchronous_standby_names') = $1", standby)
	c.Exec("CHECKPOINT") // the checkpointer is who makes all others wait, and it reads the configuration before it does this
}

// SwitchWAL ends the current WAL segment, even one that holds nothing yet, and returns its name.
func (c *Cluster) SwitchWAL() string {
	c.t.Helper()
	c.Exec("SELECT pg_create_restore_point('end of segment')") // or there may be nothing to switch
	return One[string](c, "SELECT pg_walfile_name(pg_switch_wal())")
}

// CurrentLSN is where the next WAL record goes.
func (c *Cluster) CurrentLSN() string {
	c.t.Helper()
	return One[string](c, "SELECT pg_current_wal_insert_lsn()::text")
}

// BarmanRoles creates the two users of the manual with its grants and no more: "barman" for management, "streaming_barman"
// for replication. Neither is a superuser.
func (c *Cluster) BarmanRoles() {
	c.t.Helper()
	c.Exec(`
		CREATE ROLE barman LOGIN PASSWORD 'barman';
		CREATE ROLE streaming_barman LOGIN REPLICATION PASSWORD 'barman';
		GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO barman;
		GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO barman;
		GRANT EXECUTE ON FUNCTION pg_switch_wal() TO barman;
		GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO barman;
		GRANT pg_read_all_settings, pg_read_all_stats, pg_checkpoint TO barman;`)
}
