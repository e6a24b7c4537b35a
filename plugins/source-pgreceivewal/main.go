// Command barman-plugin-source-pgreceivewal receives the WAL of PostgreSQL as
// it is generated.
package main

import (
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.WALSource(sdk.Info{Name: "pgreceivewal", Doc: "WAL as it is generated, through PostgreSQL's replication protocol."}, Open)
}
