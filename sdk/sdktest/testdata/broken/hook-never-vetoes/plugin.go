// Package hooknevervetoes swallows what it has against an event.
package hooknevervetoes

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type hook struct{ reference.Hook }

func (h hook) Notify(ctx context.Context, e sdk.Event) error {
	// Nobody hears of it.
	_ = h.Hook.Notify(ctx, e)
	return ctx.Err()
}

// Serve is the plugin.
func Serve() {
	serve.Hook(sdk.Info{Name: "broken", Doc: "Swallows what it has against an event."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Hook, error) {
		return hook{}, nil
	})
}
