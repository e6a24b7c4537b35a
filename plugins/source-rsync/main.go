// Command barman-plugin-source-rsync is the source "rsync": it copies the data
// directory and the tablespaces of a running server with the system's rsync, over
// ssh or on this machine, between the start and the stop of PostgreSQL's low-level
// backup API.
//
// # Landing
//
// rsync writes files itself. Where the sink grants a landing directory the files
// go straight there, and those that the backup before has too are linked to. For
// other sinks the files land in scratch space and are emitted from there.
//
// # Order
//
// The server's checkpoint, then tablespaces, data directory and configuration
// files, global/pg_control behind everything else, then the stop, whose
// backup_label goes into the data directory, and the manifest at last. A file that
// vanishes meanwhile is fine: WAL makes the recovered cluster forget it too.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.LandingSource(sdk.Info{Name: "rsync", Version: version, Doc: "Base backups with rsync, over ssh or on this machine."}, Open)
}
