// Command barman-plugin-source-pgdata takes base backups of a PostgreSQL server
// on the same host by reading its data directory.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.BackupSource(sdk.Info{Name: "pgdata", Version: version, Doc: "Base backups of a server on this host, from its data directory."}, Open)
}
