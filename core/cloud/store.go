package cloud

import (
	"context"
	"strings"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// Provider is a kind of object store, by the name that --cloud-provider has for
// it.
type Provider string

// The providers.
const (
	S3    Provider = "aws-s3"
	Azure Provider = "azure-blob-storage"
	GCS   Provider = "google-cloud-storage"
)

// Providers are all providers.
func Providers() []Provider { return []Provider{S3, Azure, GCS} }

// sink is the name of the plugin that speaks to a provider.
func (p Provider) sink() (string, error) {
	switch p {
	case S3:
		return "s3", nil
	case Azure:
		return "azure", nil
	case GCS:
		return "gcs", nil
	}
	return "", sdk.Errorf(sdk.Invalid, "%q is not a cloud provider: use %s, %s or %s", string(p), S3, Azure, GCS)
}

// providerOf is the provider whose URLs begin so; S3, as in Python, for what is
// nobody's.
func providerOf(url string) Provider {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme == "gs", host == "console.cloud.google.com":
		return GCS
	case scheme == "http", scheme == "https":
		return Azure
	}
	return S3
}

// Store is a server's place in a bucket.
type Store struct {
	engine *pipeline.Engine
	sink   pipeline.Stage
	server sdk.Server
}

// Open prepares the place of a server. Nothing is started and nothing is asked of
// the bucket. Errors are of kind Invalid.
func Open(engine *pipeline.Engine, options Options, server string) (*Store, error) {
	sink, err := options.sink()
	if err != nil {
		return nil, err
	}
	return In(engine, sink, server)
}

// In prepares the place of a server in a sink. Errors are of kind Invalid.
func In(engine *pipeline.Engine, sink pipeline.Stage, server string) (*Store, error) {
	if !sdk.ValidName(server) || strings.Contains(server, "/") {
		return nil, sdk.Errorf(sdk.Invalid, "%q cannot be the name of a server: it is one part of the keys in the bucket", server)
	}
	return &Store{engine: engine, sink: sink, server: sdk.Server{Name: server}}, nil
}

// Sink is the stage that stores in the bucket.
func (s *Store) Sink() pipeline.Stage { return s.sink }

// Server is what stages are told of the server.
func (s *Store) Server() sdk.Server { return s.server }

// Engine runs pipelines that end in the bucket.
func (s *Store) Engine() *pipeline.Engine { return s.engine }

// Test asks the bucket for something, to see that it can be reached. Errors are
// those of the sink: NotFound when there is no such bucket, Unavailable when it is
// out of reach.
func (s *Store) Test(ctx context.Context) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	for _, err := range sink.List(ctx, "base/") {
		return err
	}
	return nil
}
