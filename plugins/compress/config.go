package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the transform "compress".
type Config struct {
	Codec               string `hcl:"codec,optional" doc:"What objects are compressed with: gzip, pigz (gzip by another name), bzip2, xz, lz4, zstd, snappy, none, or custom, a command of yours. Reading recognises all of them whatever is set here." default:"zstd"`
	Level               string `hcl:"level,optional" doc:"Effort: low, medium, high or a number. gzip and bzip2 1 to 9 (default 6 and 5), zstd -22 to 22 (default 3), lz4 0 to 16 (default 1); numbers beyond that are taken for the nearest. xz, snappy, none and custom have one effort."`
	Filter              string `hcl:"filter,optional" doc:"For codec custom: the command line, run by /bin/sh, that compresses its standard input to its standard output."`
	DecompressionFilter string `hcl:"decompression_filter,optional" doc:"The command line that undoes what filter did. It stays in use for what begins with magic when codec is no longer custom."`
	Magic               string `hcl:"magic,optional" doc:"How everything begins that filter makes, in hexadecimal digits: 0x4c5a4950. Without it, codec custom takes all that it does not recognise for the work of filter."`
	SingleStream        bool   `hcl:"single_stream,optional" doc:"For gzip and bzip2: make one stream of an object, for readers that know no more than one, as Barman in Python reading from a bucket. bzip2 has one core for an object then, and reading has for either."`
	Workers             *int   `hcl:"workers,optional" doc:"Processor cores used at most, for all objects together (default: all). Filters are not counted."`
}

const (
	codecNone = "none"
	// maxWorkers bounds the workers setting, and with it the memory of the process.
	maxWorkers = 256
)

func codecNames() []string { return append(codec.Names(), codecNone, codec.Custom) }

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	complain := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains(codecNames(), c.codec()) {
		complain("codec", "Unknown codec", "%q is not a codec; use one of %s.", c.Codec, strings.Join(codecNames(), ", "))
	}
	if _, err := codec.ParseLevel(c.Level); err != nil {
		complain("level", "Unknown level", "%q is not a level; use a number, low, medium or high.", c.Level)
	}
	if c.Workers != nil && (*c.Workers < 1 || *c.Workers > maxWorkers) {
		complain("workers", "Number of workers out of range", "Between 1 and %d workers are possible, not %d.", maxWorkers, *c.Workers)
	}
	return append(found, c.validateFilters()...)
}

func (c *Config) validateFilters() schema.Diagnostics {
	var found schema.Diagnostics
	complain := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	custom := c.codec() == codec.Custom
	if custom && strings.TrimSpace(c.Filter) == "" {
		complain("filter", "No filter", "The codec custom needs the command that compresses, such as filter = \"lzop -c\".")
	}
	if (custom || c.Magic != "") && strings.TrimSpace(c.DecompressionFilter) == "" {
		complain("decompression_filter", "No decompression filter", "What filter compressed needs a command to be read again, such as decompression_filter = \"lzop -dc\".")
	}
	if !custom && c.DecompressionFilter != "" && c.Magic == "" {
		complain("magic", "No magic", "With the codec %s, decompression_filter is used for what begins with magic, which is not set.", c.codec())
	}
	if strings.ContainsRune(c.Filter, 0) {
		complain("filter", "Invalid command", "A command line cannot hold a NUL character.")
	}
	if strings.ContainsRune(c.DecompressionFilter, 0) {
		complain("decompression_filter", "Invalid command", "A command line cannot hold a NUL character.")
	}
	if _, err := codec.ParseMagic(c.Magic); err != nil {
		complain("magic", "Invalid magic", "%s.", err)
	}
	return found
}

func (c *Config) codec() string {
	if c.Codec == "" {
		return codec.Zstd
	}
	return c.Codec
}

// level is that of a valid configuration.
func (c *Config) level() codec.Level {
	level, err := codec.ParseLevel(c.Level)
	if err != nil {
		return ""
	}
	return level
}

func (c *Config) workers() int {
	if c.Workers == nil {
		return runtime.GOMAXPROCS(0)
	}
	return *c.Workers
}
