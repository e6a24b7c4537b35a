package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the sink "posix".
type Config struct {
	Path           string            `hcl:"path,optional" doc:"Directory below which objects are stored (default: the server's directory, with basebackups_directory and wals_directory in the place of base and wals there). It is created when it is missing."`
	Unpack         bool              `hcl:"unpack,optional" doc:"Unpack tar objects as directory trees instead of storing them, and write files under their final names at once. For the target of a recovery."`
	Mounts         map[string]string `hcl:"mounts,optional" doc:"With unpack: directories elsewhere for what is below a name, \"pg_tblspc/16400\" for instance. A symbolic link takes the name's place."`
	Reuse          bool              `hcl:"reuse,optional" doc:"With unpack: files that are there already are compared with what comes, and only what differs is written. For a recovery that goes on where another one was interrupted."`
	BandwidthLimit schema.ByteSize   `hcl:"bandwidth_limit,optional" doc:"The most bytes that are written in a second; unlimited when left out."`
	Fsync          *bool             `hcl:"fsync,optional" doc:"Make objects durable before they are acknowledged (default true). Without it a crash of the machine loses acknowledged objects: for throw-away copies only."`
}

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	report := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		report("path", "Relative path", "%q depends on where barman is started; give an absolute path.", c.Path)
	}
	if len(c.Mounts) > 0 && !c.Unpack {
		report("mounts", "Mounts without unpack", "Only a sink that unpacks has mounts; set unpack = true.")
	}
	if c.Reuse && !c.Unpack {
		report("reuse", "Reuse without unpack", "Only a sink that unpacks reuses files; set unpack = true.")
	}
	if c.BandwidthLimit < 0 {
		report("bandwidth_limit", "Negative limit", "The limit is a number of bytes in a second, or 0 for none.")
	}
	taken := map[string]string{}
	if c.Path != "" {
		taken["path"] = filepath.Clean(c.Path)
	}
	for _, name := range c.prefixes() {
		directory := c.Mounts[name]
		if !sdk.ValidName(name) {
			report("mounts", "Invalid name", "%q is no name of an object.", name)
		}
		if !filepath.IsAbs(directory) {
			report("mounts", "Relative path", "%q is mounted at %q; give an absolute path.", name, directory)
			continue
		}
		directory = filepath.Clean(directory)
		for other, place := range taken {
			if within(place, directory) || within(directory, place) {
				report("mounts", "Overlapping directories", "%q is mounted at %s, which overlaps %s of %q.", name, directory, place, other)
			}
			if other != "path" && (within(other, name) || within(name, other)) {
				report("mounts", "Overlapping names", "%q and %q: one is below the other.", other, name)
			}
		}
		taken[name] = directory
	}
	return found
}

// prefixes are the names of the mounts in order.
func (c *Config) prefixes() []string {
	var names []string
	for name := range c.Mounts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *Config) fsync() bool { return c.Fsync == nil || *c.Fsync }

// within tells whether a path is root or below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}
