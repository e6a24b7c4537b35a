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
	serve.Bucket(sdk.Info{Name: "s3", Version: version, Doc: "Stores objects in a bucket of Amazon S3, or of a store that speaks its protocol."}, open)
}

func open(ctx context.Context, server sdk.Server, config *Config) (sdk.Sink, error) {
	name, path, err := parseURL(config.URL)
	if err != nil {
		return nil, err
	}
	s, err := newStore(ctx, name, config)
	if err != nil {
		return nil, err
	}
	return bucket.New(s, bucket.Options{
		URL: "s3://" + name, Layout: bucket.NewLayout(path, server.Name),
		PartSize: int64(config.PartSize), SinglePut: int64(config.SinglePutSize), Parallel: config.ParallelParts, Patience: config.Patience, CreateBucket: config.CreateBucket,
	}), nil
}
