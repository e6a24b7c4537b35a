// Command barman-plugin-source-pgbasebackup takes base backups of PostgreSQL
// through the replication protocol.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.BackupSource(sdk.Info{Name: "pgbasebackup", Doc: "Base backups through PostgreSQL's replication protocol."}, Open)
}
