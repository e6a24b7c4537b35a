package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/backupapi"
	"github.com/barman-go/barman/test/pgtest"
)

func connected(t *testing.T, c *pgtest.Cluster, conninfo string) *backupapi.Session {
	t.Helper()
	session, err := backupapi.Connect(t.Context(), sdk.Secret(conninfo), "barman_backup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

func TestTheBackupSessionNeedsNoMoreThanItsGrants(t *testing.T) {
	pgtest.EachVersion(t, func(t *testing.T, major int) {
		c := pgtest.Start(t, pgtest.Options{Major: major, Tablespaces: []string{"two words; more"}})
		c.Exec("CREATE ROLE careful LOGIN; GRANT pg_read_all_settings TO careful; ALTER ROLE careful SET statement_timeout = 1")
		c.Exec("GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO careful; GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO careful")
		session := connected(t, c, c.ConninfoAs("careful")+" dbname=postgres")
		begin, err := session.Start(t.Context(), backupapi.StartOptions{Label: `it's a \label`, Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		server, err := session.Server(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if server.Major != major || server.DataDirectory != c.DataDir || server.Standby || len(server.Tablespaces) != 1 ||
			server.Tablespaces[0].Location != c.Tablespaces["two words; more"] || server.Names[server.Tablespaces[0].OID] != "two words; more" ||
			server.SystemID != pgtest.One[string](c, "SELECT system_identifier::text FROM pg_control_system()") {
			t.Errorf("%+v", server)
		}
		if err := session.During(t.Context(), time.Millisecond, func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil }); err != nil {
			t.Fatal(err)
		}
		end, err := session.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if end.LSN <= begin.LSN || end.Timeline != 1 || end.Time.Before(begin.Time) || !strings.Contains(end.Label, `LABEL: it's a \label`) || !strings.Contains(end.TablespaceMap, c.Tablespaces["two words; more"]) {
			t.Errorf("%+v %+v", begin, end)
		}
	})
}

func TestALostSessionEndsTheCopyAndLeavesTheServerClean(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15})
	clean := func() {
		t.Helper()
		c.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'barman_backup'")
	}
	session := connected(t, c, c.Conninfo())
	if _, err := session.Start(t.Context(), backupapi.StartOptions{Label: "x", Fast: true}); err != nil {
		t.Fatal(err)
	}
	err := session.During(t.Context(), time.Hour, func(ctx context.Context) error {
		c.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'barman_backup'")
		<-ctx.Done()
		return ctx.Err()
	})
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "connection that held the backup was lost") {
		t.Errorf("%s: %v", sdk.KindOf(err), err)
	}
	clean()

	// Ending the context while the server makes its checkpoint ends it there too.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c.Exec("CREATE TABLE dirty AS SELECT generate_series(1, 100000)")
	session = connected(t, c, c.Conninfo())
	if _, err := session.Start(ctx, backupapi.StartOptions{Label: "x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	session.Close()
	clean()
}
