package main

import (
	"os"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/sdk/sdktest"
	"github.com/barman-go/barman/test/pgtest"
)

func TestConformance(t *testing.T) {
	c := pgtest.Start(t, pgtest.Options{Major: 15, Tablespaces: []string{"one"}})
	c.Exec("CREATE TABLE there TABLESPACE one AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 20000) i")
	unreachable := sdk.Server{Name: "gone", Conninfo: "host=127.0.0.1 port=1 user=postgres", Directory: t.TempDir()}
	sdktest.BackupSource(t, sdktest.Binary(t, "."), sdktest.Config{"immediate_checkpoint": true},
		sdktest.Server(sdk.Server{Name: "main", Conninfo: sdk.Secret(c.Conninfo()), Directory: t.TempDir()}), sdktest.Unreachable(unreachable),
		sdktest.Idle(func(t sdktest.T) {
			c.Wait("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'barman'")
		}))
}

func TestReadmeListsTheSettings(t *testing.T) {
	settings, err := schema.Of(Config{})
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := schema.Markdown(settings); !strings.Contains(string(readme), want) {
		t.Errorf("README.md lacks this table:\n%s", want)
	}
}
