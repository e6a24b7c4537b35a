package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/manifest"
	"github.com/barman-go/barman/sdk/schema"
)

// Config is what a source "pgdata" block says.
type Config struct {
	Checkpoint        string     `hcl:"checkpoint,optional" default:"spread" doc:"How the server makes the checkpoint that begins a backup: fast (at once) or spread (over checkpoint_completion_target, which may take minutes)."`
	DataDirectory     string     `hcl:"data_directory,optional" doc:"Where the server's data directory is on this host; what the server says when left out."`
	Manifest          bool       `hcl:"manifest,optional" default:"true" doc:"Write a backup manifest."`
	ManifestChecksums string     `hcl:"manifest_checksums,optional" default:"CRC32C" doc:"Checksums in the manifest: CRC32C, SHA224, SHA256, SHA384, SHA512 or NONE."`
	Conninfo          sdk.Secret `hcl:"conninfo,optional" doc:"Connection string; the server's conninfo when left out."`
	ApplicationName   string     `hcl:"application_name,optional" default:"barman_backup" doc:"The name that the server shows in pg_stat_activity."`
	Copy              string     `hcl:"copy,optional" doc:"Directory of a backup of plain files that exists already: data and a directory for each tablespace in it are packed, and no server is asked."`
}

// Validate tells what the schema cannot.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	say := func(path, summary, detail string) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: detail})
	}
	if !slices.Contains([]string{"", "fast", "spread"}, c.Checkpoint) {
		say("checkpoint", "Unknown checkpoint mode", fmt.Sprintf("%q is neither \"fast\" nor \"spread\".", c.Checkpoint))
	}
	if _, err := c.algorithm(); err != nil {
		say("manifest_checksums", "Unknown checksum", err.Error()+".")
	}
	for path, directory := range map[string]string{"data_directory": c.DataDirectory, "copy": c.Copy} {
		if directory != "" && !filepath.IsAbs(directory) {
			say(path, "Relative path", fmt.Sprintf("%q depends on where barman is started; give an absolute path.", directory))
		}
	}
	return found
}

func (c *Config) algorithm() (manifest.Algorithm, error) {
	if c.ManifestChecksums == "" {
		return manifest.CRC32C, nil
	}
	return manifest.ParseAlgorithm(c.ManifestChecksums)
}
