package main

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
	"github.com/barman-go/barman/sdk/serve"
)

// version is set by the linker.
var version = "dev"

func main() {
	serve.Bucket(sdk.Info{Name: "gcs", Version: version, Doc: "Stores objects in a bucket of Google Cloud Storage."}, open)
}

func open(ctx context.Context, server sdk.Server, config *Config) (sdk.Sink, error) {
	place, err := parseAddress(config.URL)
	if err != nil {
		return nil, err
	}
	s, err := newStore(ctx, place, config)
	if err != nil {
		return nil, err
	}
	return bucket.New(s, config.options(place, server.Name)), nil
}
