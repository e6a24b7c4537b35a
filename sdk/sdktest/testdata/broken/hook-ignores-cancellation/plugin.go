// Package hookignorescancellation goes on when it is cancelled.
package hookignorescancellation

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

type hook struct{ reference.Hook }

func (h hook) Notify(ctx context.Context, e sdk.Event) error {
	return h.Hook.Notify(context.WithoutCancel(ctx), e)
}

// Serve is the plugin.
func Serve() {
	serve.Hook(sdk.Info{Name: "broken", Doc: "Goes on when it is cancelled."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Hook, error) {
		return hook{}, nil
	})
}
