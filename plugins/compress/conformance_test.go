package main

import (
	"slices"
	"testing"

	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	plugin := sdktest.Binary(t, ".")
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			options := []sdktest.Option{sdktest.MemoryLimit(memoryCeiling(codec))}
			switch {
			case slices.Contains(slow, codec):
				options = append(options, sdktest.LargestObject(8<<20), sdktest.SmallObjects(200))
			case codec == "gzip", codec == "snappy":
				options = append(options, sdktest.LargestObject(256<<20))
			case codec == "none":
				options = append(options, sdktest.Unframed(), sdktest.LargestObject(256<<20))
			}
			sdktest.Transform(t, plugin, sdktest.Config{"codec": codec}, options...)
		})
	}
	t.Run("custom", func(t *testing.T) {
		config := sdktest.Config{"codec": "custom", "filter": "gzip -1", "decompression_filter": "gzip -d", "magic": "0x1f8b08"}
		sdktest.Transform(t, plugin, config, sdktest.MemoryLimit(memoryCeiling("custom")), sdktest.LargestObject(64<<20), sdktest.SmallObjects(200))
	})
}
