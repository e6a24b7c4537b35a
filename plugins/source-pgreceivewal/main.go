// Command barman-plugin-source-pgreceivewal receives the WAL of PostgreSQL as
// it is generated.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.WALSource(sdk.Info{Name: "pgreceivewal", Version: version, Doc: "WAL as it is generated, through PostgreSQL's replication protocol."}, Open)
}
