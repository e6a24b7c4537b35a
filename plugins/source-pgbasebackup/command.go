package main

import (
	"fmt"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
)

const (
	// firstWithManifest is the first version that writes backup manifests.
	firstWithManifest = 13
	// firstTagged is the first version with options in parentheses and one
	// tagged stream for all archives.
	firstTagged = 15
)

// command is a BASE_BACKUP command (PostgreSQL manual, section 55.4), and with
// it the form of the answer.
type command struct {
	text     string
	tagged   bool
	manifest bool
	codec    string
}

// newCommand writes the command for a server of a major version. The server
// never waits for its archiver: that the WAL is there is for the caller to see.
func newCommand(major int, config *Config, request sdk.BackupRequest) (command, error) {
	if strings.ContainsFunc(request.Label, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return command{}, sdk.Errorf(sdk.Invalid, "backup label %q has control characters", request.Label)
	}
	c := command{tagged: major >= firstTagged, manifest: config.Manifest && major >= firstWithManifest}
	if config.Compression != nil {
		if !c.tagged {
			return command{}, sdk.Errorf(sdk.Invalid, "server_compression needs PostgreSQL %d, the server is PostgreSQL %d: "+
				"remove it and compress with a transform", firstTagged, major)
		}
		if request.Layout != sdk.LayoutTar {
			return command{}, sdk.Errorf(sdk.Invalid, "server_compression works only with the tar layout, not with %q: "+
				"remove it and compress with a transform", request.Layout)
		}
		c.codec = config.Compression.Codec
	}
	if c.tagged {
		c.text = "BASE_BACKUP (" + strings.Join(c.options(config, request.Label), ", ") + ")"
	} else {
		c.text = "BASE_BACKUP " + strings.Join(c.legacyOptions(config, request.Label), " ")
	}
	return c, nil
}

// The tablespace map is not asked for unless the server compresses. From it
// PostgreSQL would make the links of the tablespaces to where they were on this
// server, whereas recovery makes them to where they are; and the manifest would
// list a file that recovery has to leave out. Without it the server puts these
// links into the archive, which tarScanner takes out again, if it can read it.
func (c command) options(config *Config, label string) []string {
	checkpoint := "spread"
	if config.Checkpoint == "fast" {
		checkpoint = "fast"
	}
	options := []string{
		"LABEL " + replication.QuoteLiteral(label), "PROGRESS", "CHECKPOINT " + replication.QuoteLiteral(checkpoint),
		"WAIT false",
	}
	if config.MaxRate != nil {
		options = append(options, fmt.Sprintf("MAX_RATE %d", *config.MaxRate>>10))
	}
	if c.manifest {
		options = append(options, "MANIFEST 'yes'", "MANIFEST_CHECKSUMS "+replication.QuoteLiteral(config.checksums()))
	}
	if config.Compression != nil {
		options = append(options, "TABLESPACE_MAP", "COMPRESSION "+replication.QuoteLiteral(c.codec))
		if detail := config.Compression.detail(); detail != "" {
			options = append(options, "COMPRESSION_DETAIL "+replication.QuoteLiteral(detail))
		}
	}
	return options
}

func (c command) legacyOptions(config *Config, label string) []string {
	options := []string{"LABEL " + replication.QuoteLiteral(label), "PROGRESS"}
	if config.Checkpoint == "fast" {
		options = append(options, "FAST")
	}
	options = append(options, "NOWAIT")
	if config.MaxRate != nil {
		options = append(options, fmt.Sprintf("MAX_RATE %d", *config.MaxRate>>10))
	}
	if c.manifest {
		options = append(options, "MANIFEST 'yes'", "MANIFEST_CHECKSUMS "+replication.QuoteLiteral(config.checksums()))
	}
	return options
}

func (c *Config) checksums() string {
	if c.ManifestChecksums == "" {
		return "CRC32C"
	}
	return strings.ToUpper(c.ManifestChecksums)
}

func (c *Compression) detail() string {
	var parts []string
	if c.Level != nil {
		parts = append(parts, fmt.Sprintf("level=%d", *c.Level))
	}
	if c.Workers != nil {
		parts = append(parts, fmt.Sprintf("workers=%d", *c.Workers))
	}
	return strings.Join(parts, ",")
}
