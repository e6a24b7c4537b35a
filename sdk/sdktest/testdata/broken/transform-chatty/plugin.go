// Package transformchatty greets the world on standard output before the handshake.
package transformchatty

import (
	"context"
	"fmt"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// Serve is the plugin.
func Serve() {
	fmt.Println("Hello!")
	serve.Transform(sdk.Info{Name: "broken", Doc: "Greets the world."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return reference.Rot13{}, nil
	})
}
