package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Sink(sdk.Info{Name: "posix", Doc: "Stores objects as files in a directory, or unpacks them there."}, open)
}

func open(_ context.Context, server sdk.Server, config *Config) (sdk.Sink, error) {
	return New(server.Directory, config)
}
