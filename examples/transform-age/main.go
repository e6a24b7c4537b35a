// Command barman-plugin-transform-age is the transform "age": it encrypts
// objects on their way to the store with age (https://age-encryption.org), so
// that only the holders of the matching identities can restore them.
package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

func main() {
	serve.Transform(sdk.Info{Name: "age", Version: "1.0.0", Doc: "Encrypts objects to age recipients."}, open)
}

func open(_ context.Context, _ sdk.Server, config *Config) (sdk.Transform, error) { return New(config) }
