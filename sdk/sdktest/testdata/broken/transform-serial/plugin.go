// Package transformserial converts one object at a time.
package transformserial

import (
	"context"
	"io"
	"sync"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest/internal/reference"
	"github.com/barman-go/barman/sdk/serve"
)

// transform is the reference, broken in one way.
type transform struct{ reference.Rot13 }

func (t transform) Encode(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	one.Lock()
	defer one.Unlock()
	return t.Rot13.Encode(ctx, o, dst, src)
}

var one sync.Mutex

// Serve is the plugin.
func Serve() {
	serve.Transform(sdk.Info{Name: "broken", Doc: "Converts one object at a time."}, func(context.Context, sdk.Server, *reference.NoConfig) (sdk.Transform, error) {
		return transform{}, nil
	})
}
