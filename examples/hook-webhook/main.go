// Command barman-plugin-hook-webhook is the hook "webhook": it posts every event
// as JSON to a URL, and lets the answer before an operation stop it.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Hook(sdk.Info{Name: "webhook", Version: "1.0.0", Doc: "Posts events as JSON to a URL."}, open)
}

func open(_ context.Context, _ sdk.Server, config *Config) (sdk.Hook, error) { return New(config) }
