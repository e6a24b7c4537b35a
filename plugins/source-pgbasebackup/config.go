package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Config is what a source "pgbasebackup" block says.
type Config struct {
	Checkpoint        string           `hcl:"checkpoint,optional" default:"spread" doc:"How the server makes the checkpoint that begins a backup: fast (at once) or spread (over checkpoint_completion_target, which may take minutes)."`
	MaxRate           *schema.ByteSize `hcl:"max_rate,optional" doc:"The most that the server sends in a second, from 32KiB to 1GiB; unlimited when left out."`
	Manifest          bool             `hcl:"manifest,optional" default:"true" doc:"Let the server write a backup manifest (PostgreSQL 13 and later)."`
	ManifestChecksums string           `hcl:"manifest_checksums,optional" default:"CRC32C" doc:"Checksums in the manifest: CRC32C, SHA224, SHA256, SHA384, SHA512 or NONE."`
	Compression       *Compression     `hcl:"server_compression,block" doc:"Let the server compress (PostgreSQL 15 and later, only with the tar layout)."`
	Conninfo          sdk.Secret       `hcl:"conninfo,optional" doc:"Connection string for the replication protocol; the server's streaming_conninfo when left out."`
	ApplicationName   string           `hcl:"application_name,optional" default:"barman_streaming_backup" doc:"The name that the server shows in pg_stat_replication."`
}

// Compression is what a server_compression block says.
type Compression struct {
	Codec   string `hcl:"codec" doc:"gzip, lz4 or zstd; the server must have been built with it."`
	Level   *int   `hcl:"level,optional" doc:"Compression level: gzip 1 to 9, lz4 1 to 12, zstd -7 to 22."`
	Workers *int   `hcl:"workers,optional" doc:"Threads that compress, on the server; only zstd."`
}

// Limits of MAX_RATE (PostgreSQL manual, section 55.4), in bytes.
const (
	minRate = 32 << 10
	maxRate = 1 << 30
)

// Validate tells what the schema cannot.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	say := func(path, summary, detail string) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: detail})
	}
	if !slices.Contains([]string{"", "fast", "spread"}, c.Checkpoint) {
		say("checkpoint", "Unknown checkpoint mode", fmt.Sprintf("%q is neither \"fast\" nor \"spread\".", c.Checkpoint))
	}
	if c.MaxRate != nil && (*c.MaxRate < minRate || *c.MaxRate > maxRate) {
		say("max_rate", "Rate out of range", fmt.Sprintf("PostgreSQL accepts 32KiB to 1GiB a second, not %s.", *c.MaxRate))
	}
	checksums := []string{"", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512", "NONE"}
	if !slices.Contains(checksums, strings.ToUpper(c.ManifestChecksums)) {
		say("manifest_checksums", "Unknown checksum", fmt.Sprintf("%q is none of %s.", c.ManifestChecksums, strings.Join(checksums[1:], ", ")))
	}
	if c.Compression != nil {
		found = append(found, c.Compression.diagnose()...)
	}
	return found
}

type codec struct {
	suffix             string
	minLevel, maxLevel int
}

// codecOf knows the methods of the COMPRESSION option and the suffixes that
// the server gives to its archives.
func codecOf(name string) (codec, bool) {
	switch name {
	case "gzip":
		return codec{".gz", 1, 9}, true
	case "lz4":
		return codec{".lz4", 1, 12}, true
	case "zstd":
		return codec{".zst", -7, 22}, true
	}
	return codec{}, false
}

func (c *Compression) diagnose() schema.Diagnostics {
	known, ok := codecOf(c.Codec)
	if !ok {
		return schema.Diagnostics{{Path: "server_compression.codec", Summary: "Unknown codec",
			Detail: fmt.Sprintf("%q is none of gzip, lz4, zstd.", c.Codec)}}
	}
	var found schema.Diagnostics
	if c.Level != nil && (*c.Level < known.minLevel || *c.Level > known.maxLevel) {
		found = append(found, schema.Diagnostic{Path: "server_compression.level", Summary: "Level out of range",
			Detail: fmt.Sprintf("Levels of %s go from %d to %d.", c.Codec, known.minLevel, known.maxLevel)})
	}
	if c.Workers != nil && c.Codec != "zstd" {
		found = append(found, schema.Diagnostic{Path: "server_compression.workers", Summary: "No workers for this codec",
			Detail: "Only zstd compresses with several threads; remove workers."})
	}
	if c.Workers != nil && (*c.Workers < 0 || *c.Workers > 256) {
		found = append(found, schema.Diagnostic{Path: "server_compression.workers", Summary: "Workers out of range",
			Detail: "Ask for 0 to 256 threads."})
	}
	return found
}
