// Command barman-plugin-hook-script is the hook "script": it runs the hook
// scripts of classic Barman, with the environment variables that they know
// (Barman manual, "Hook scripts").
package main

import (
	"context"
	"sync"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	// The process is told to end as soon as a call was cancelled; the script of
	// that call is ended first.
	var running sync.WaitGroup
	serve.Hook(sdk.Info{Name: "script", Version: version, Doc: "Runs a hook script of classic Barman."},
		func(_ context.Context, _ sdk.Server, config *Config) (sdk.Hook, error) { return New(config, &running) })
	running.Wait()
}
