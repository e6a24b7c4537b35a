package main

import (
	"testing"

	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	plugin := sdktest.Binary(t, ".")
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			options := []sdktest.Option{sdktest.MemoryLimit(32 << 20)}
			switch codec {
			case "gzip":
				options = append(options, sdktest.LargestObject(256<<20))
			case "none":
				options = append(options, sdktest.Unframed(), sdktest.LargestObject(256<<20))
			}
			sdktest.Transform(t, plugin, sdktest.Config{"codec": codec}, options...)
		})
	}
}
