package main

import (
	"testing"

	"github.com/barman-go/barman/sdk/sdktest"
	"github.com/barman-go/barman/test/storetest"
)

func TestConformance(t *testing.T) {
	b := storetest.NewS3(t)
	leftovers := func(sdktest.T) []string { return b.Uploads() }
	c := settings(b)
	// With as many as a pipeline's memory allows.
	c["parallel_parts"] = 8
	sdktest.Sink(t, sdktest.Binary(t, "."), c, sdktest.Leftovers(leftovers), sdktest.MemoryLimit(140<<20),
		sdktest.SmallObjects(400), sdktest.LargestObject(300<<20))
}

// settings lead a sink to a bucket.
func settings(b *storetest.Bucket) sdktest.Config {
	return sdktest.Config{
		"url": b.URL + "/some/path", "endpoint": b.Endpoint, "region": b.Var("AWS_REGION"),
		"access_key_id": b.Var("AWS_ACCESS_KEY_ID"), "secret_access_key": b.Var("AWS_SECRET_ACCESS_KEY"), "session_token": b.Var("AWS_SESSION_TOKEN"),
	}
}
