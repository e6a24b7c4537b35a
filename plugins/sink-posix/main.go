package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.LandingSink(sdk.Info{Name: "posix", Version: version, Doc: "Stores objects as files in a directory, or unpacks them there."}, open)
}

func open(_ context.Context, server sdk.Server, config *Config) (sdk.LandingSink, error) {
	return New(server, config)
}
