package main

import (
	"fmt"
	"time"

	"github.com/barman-go/barman/sdk/bucket"
	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the sink "gcs".
type Config struct {
	URL string `hcl:"url" doc:"The bucket, with a path in it if wanted: gs://<bucket>[/<path>], or its URL in Google's console. The server's objects are stored below that, in a folder of the server's name."`

	Credentials string `hcl:"credentials,optional" doc:"Path of a file with credentials, of a service account for instance (default: Google's application default credentials: GOOGLE_APPLICATION_CREDENTIALS, then who is logged in with gcloud, then the machine's service account)."`
	Endpoint    string `hcl:"endpoint,optional" doc:"URL of the store, when it is not https://storage.googleapis.com. STORAGE_EMULATOR_HOST names one that asks for no credentials."`
	Project     string `hcl:"project,optional" doc:"The project in which create_bucket makes the bucket (default: GOOGLE_CLOUD_PROJECT, or that of the credentials)."`

	KMSKey       string            `hcl:"kms_key,optional" doc:"Resource name of the key in Cloud KMS that objects are encrypted with: projects/…/locations/…/keyRings/…/cryptoKeys/…"`
	StorageClass string            `hcl:"storage_class,optional" doc:"The storage class of objects, NEARLINE for instance (default: the bucket's)."`
	Tags         map[string]string `hcl:"tags,optional" doc:"Custom metadata of all objects."`
	HistoryTags  map[string]string `hcl:"history_tags,optional" doc:"Custom metadata of timeline history files, instead of those of all objects."`

	PartSize      schema.ByteSize `hcl:"part_size,optional" default:"12MiB" doc:"How many bytes one request of an upload has: a multiple of 256KiB, else it is rounded down."`
	SinglePutSize schema.ByteSize `hcl:"single_put_size,optional" default:"16MiB" doc:"How many bytes an object that is stored in one request has at most: a WAL segment."`
	ParallelParts int             `hcl:"parallel_parts,optional" default:"4" doc:"How many requests fetch bytes at once, and how many parts wait in memory. The parts of one object are sent one after the other; objects are sent side by side."`

	BandwidthLimit schema.ByteSize `hcl:"bandwidth_limit,optional" doc:"The most bytes that are sent in a second, and received; unlimited when left out."`
	ReadTimeout    time.Duration   `hcl:"read_timeout,optional" default:"1m" doc:"How long the store may be silent in the middle of a request before it is tried again."`
	Patience       time.Duration   `hcl:"patience,optional" default:"3m" doc:"How long a store that is away, or refuses for the moment, is asked again."`
	CreateBucket   bool            `hcl:"create_bucket,optional" doc:"Create the bucket if it is missing."`
}

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	report := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if _, err := parseAddress(c.URL); err != nil {
		report("url", "Not the URL of a bucket", "%s.", err)
	}
	if c.Endpoint != "" {
		if _, err := parseEndpoint(c.Endpoint); err != nil {
			report("endpoint", "Not a URL", "%s.", err)
		}
	}
	for path, size := range map[string]schema.ByteSize{"part_size": c.PartSize, "single_put_size": c.SinglePutSize} {
		if size != 0 && size < chunkUnit {
			report(path, "Too small", "It is at least %s.", schema.ByteSize(chunkUnit))
		}
	}
	if c.ParallelParts < 0 {
		report("parallel_parts", "Invalid number", "At least one request is sent at a time.")
	}
	return found
}

// options are what the sink is told that all providers have in common.
func (c *Config) options(place address, server string) bucket.Options {
	return bucket.Options{
		URL: place.url(), Layout: bucket.NewLayout(place.path, server),
		PartSize: whole(c.PartSize), SinglePut: whole(c.SinglePutSize), Parallel: c.ParallelParts, Patience: c.Patience, CreateBucket: c.CreateBucket,
	}
}

// whole is a size that an upload can go on behind.
func whole(size schema.ByteSize) int64 { return int64(size) / chunkUnit * chunkUnit }
