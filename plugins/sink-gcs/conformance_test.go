package main

import (
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest"
	"github.com/barman-go/barman/test/storetest"
)

func TestConformance(t *testing.T) {
	b := storetest.NewGCS(t)
	plugin := sdktest.Binary(t, ".")
	plugin.Environment = b.Env
	sdktest.Sink(t, plugin, sdktest.Config{"url": b.URL + "/a/path", "parallel_parts": 8},
		sdktest.Server(sdk.Server{Name: "main"}), sdktest.SmallObjects(300), sdktest.LargestObject(96<<20), sdktest.MemoryLimit(170<<20))
}
