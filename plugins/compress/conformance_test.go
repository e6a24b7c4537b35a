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
			config := sdktest.Config{"codec": codec}
			options := []sdktest.Option{sdktest.MemoryLimit(memoryCeiling(codec))}
			switch {
			case slices.Contains(slow, codec):
				conformsInEssence(t, sdktest.TransformChecks(plugin, config, append(options, sdktest.LargestObject(8<<20))...))
				return
			case codec == "gzip", codec == "snappy":
				options = append(options, sdktest.LargestObject(256<<20))
			case codec == "none":
				options = append(options, sdktest.Unframed(), sdktest.LargestObject(256<<20))
			}
			sdktest.Transform(t, plugin, config, options...)
		})
	}
	t.Run("custom", func(t *testing.T) {
		config := sdktest.Config{"codec": "custom", "filter": "gzip -1", "decompression_filter": "gzip -d", "magic": "0x1f8b08"}
		sdktest.Transform(t, plugin, config, sdktest.MemoryLimit(memoryCeiling("custom")), sdktest.LargestObject(64<<20), sdktest.SmallObjects(200))
	})
}

// conformsInEssence runs the checks that concern the encoder. The slow ones
// share all else with the others, for which they would take minutes.
func conformsInEssence(t *testing.T, checks []sdktest.Check) {
	essence := []string{"names", "exact bytes", "large object", "memory", "cancellation", "emitter vanishes", "truncation"}
	for _, check := range checks {
		if i := slices.Index(essence, check.Name); i >= 0 {
			essence = slices.Delete(essence, i, i+1)
			t.Run(check.Name, func(t *testing.T) { check.Run(t) })
		}
	}
	if len(essence) > 0 {
		t.Errorf("there are no checks %q", essence)
	}
}
