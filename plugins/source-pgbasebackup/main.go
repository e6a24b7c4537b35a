// Command barman-plugin-source-pgbasebackup takes base backups of PostgreSQL
// through the replication protocol.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.BackupSource(sdk.Info{Name: "pgbasebackup", Version: version, Doc: "Base backups through PostgreSQL's replication protocol."}, Open)
}
