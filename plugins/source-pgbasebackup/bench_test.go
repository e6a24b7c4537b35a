package main

import (
	"os/exec"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/test/pgtest"
)

// BenchmarkBackup measures how fast a server's data comes through, beside
// pg_basebackup.
func BenchmarkBackup(b *testing.B) {
	c := pgtest.Start(b, pgtest.Options{Major: 15})
	c.Exec("CREATE UNLOGGED TABLE bulk AS SELECT i, repeat(md5(i::text), 30) AS t FROM generate_series(1, 1000000) i; ALTER TABLE bulk SET LOGGED; CHECKPOINT")
	size := pgtest.One[int64](c, "SELECT sum(pg_tablespace_size(oid))::bigint FROM pg_tablespace")
	config := new(Config)
	if err := schema.Decode([]byte(`{"checkpoint": "fast", "manifest": false}`), config); err != nil {
		b.Fatal(err)
	}
	for _, door := range []string{"socket", "tcp"} {
		conninfo := c.Conninfo() + " sslmode=disable"
		if door == "socket" {
			conninfo = c.SocketConninfo()
		}
		for _, layout := range []sdk.BackupLayout{sdk.LayoutTar, sdk.LayoutPlain} {
			b.Run(door+"/"+string(layout), func(b *testing.B) {
				b.SetBytes(size)
				source := &Source{server: sdk.Server{Name: "main", StreamingConninfo: sdk.Secret(conninfo)}, config: config}
				for b.Loop() {
					if _, err := source.Backup(b.Context(), sdk.BackupRequest{Prefix: "base/1/", Layout: layout, Jobs: 2}, new(discardEmitter)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(door+"/pg_basebackup", func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				command := exec.Command(pgtest.Tool(b, 15, "pg_basebackup"), "-d", conninfo, "-Ft", "-D-", "-Xnone", "--no-manifest", "-cfast")
				if err := command.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
