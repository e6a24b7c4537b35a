package main

import (
	"fmt"
	"runtime"

	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the transform "compress".
type Config struct {
	Codec   string `hcl:"codec,optional" doc:"What objects are compressed with: gzip, zstd, lz4 or none. Reading recognises all of them whatever is set here." default:"zstd"`
	Level   *int   `hcl:"level,optional" doc:"Effort: gzip 1 to 9 (default 6), zstd 1 to 22 (default 3), lz4 0 to 12 (default 1). Above 2, lz4 searches harder; zstd knows four efforts: 1–2, 3–5, 6–9, 10–22."`
	Workers *int   `hcl:"workers,optional" doc:"Processor cores used at most, for all objects together (default: all)."`
}

// maxWorkers bounds the workers setting, and with it the memory of the process.
const maxWorkers = 256

// levels are the least, the usual and the greatest level of each codec.
var levels = map[string]struct{ least, usual, greatest int }{
	"gzip": {1, 6, 9},
	"zstd": {1, 3, 22},
	"lz4":  {0, 1, 12},
	"none": {0, 0, 0},
}

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	span, known := levels[c.codec()]
	if !known {
		found = append(found, schema.Diagnostic{
			Path: "codec", Summary: "Unknown codec",
			Detail: fmt.Sprintf("%q is not a codec; use gzip, zstd, lz4 or none.", c.Codec),
		})
	}
	if known && c.Level != nil && (*c.Level < span.least || *c.Level > span.greatest) {
		found = append(found, schema.Diagnostic{
			Path: "level", Summary: "Level out of range",
			Detail: fmt.Sprintf("The codec %s takes levels from %d to %d, not %d.", c.codec(), span.least, span.greatest, *c.Level),
		})
	}
	if c.Workers != nil && (*c.Workers < 1 || *c.Workers > maxWorkers) {
		found = append(found, schema.Diagnostic{
			Path: "workers", Summary: "Number of workers out of range",
			Detail: fmt.Sprintf("Between 1 and %d workers are possible, not %d.", maxWorkers, *c.Workers),
		})
	}
	return found
}

func (c *Config) codec() string {
	if c.Codec == "" {
		return "zstd"
	}
	return c.Codec
}

func (c *Config) level() int {
	if c.Level == nil {
		return levels[c.codec()].usual
	}
	return *c.Level
}

func (c *Config) workers() int {
	if c.Workers == nil {
		return runtime.GOMAXPROCS(0)
	}
	return *c.Workers
}
