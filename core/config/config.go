package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/config/barmanconf"
	"github.com/barman-go/barman/sdk"
)

// Config is a whole configuration, checked and with every default filled in.
type Config struct {
	// Global holds the settings of the barman block.
	Global Global
	// Servers are sorted by name.
	Servers []*Server
	// Models are sorted by name.
	Models []Model
	// Plugins are the plugins that the configuration names or pins, in the order
	// in which they are written.
	Plugins []PinnedPlugin
	// Paths are the files that were read, in order.
	Paths []string
	// Warnings are worth telling and stop nothing.
	Warnings hcl.Diagnostics

	files  map[string]*hcl.File
	global *settings
	// env and asked are what the configuration was loaded with.
	env   Environment
	asked string
	// classic is the barman.conf that it was loaded from; nil for HCL.
	classic *barmanconf.Configuration
}

// Global is what holds for the program as a whole.
type Global struct {
	// Home is the directory below which every server's directory is by default.
	Home string
	// LockDirectory holds the lock files.
	LockDirectory string
	// LockDirectoryCleanup lets cron remove the lock files that nobody holds.
	LockDirectoryCleanup bool
	// User is the operating system's user that the program works as; empty means
	// whoever starts it.
	User string
	// ConfigChangesQueue is the file of changes to the configuration that are not
	// carried out yet.
	ConfigChangesQueue string
	// PluginDirs are searched for plugins, in order; none means the directory of
	// the barman binary.
	PluginDirs []string
	// LogFile is where the log goes; empty means standard error.
	LogFile string
	// LogLevel is trace, debug, info, warn or error.
	LogLevel string
}

// PinnedPlugin says where a plugin's binary is, or what it must be.
type PinnedPlugin struct {
	// Kind is source, transform, sink or hook.
	Kind string
	// Name is the plugin's name.
	Name string
	// Path is the absolute path of the binary; empty means it is searched for.
	Path string
	// SHA256 is the checksum that the binary must have, in lower case
	// hexadecimal; empty means any.
	SHA256 string
}

// Files returns the files that were read, by name, for Render.
func (c *Config) Files() map[string]*hcl.File { return c.files }

// Server returns the server of a name. An unknown name is NotFound, with the
// nearest known one in the text.
func (c *Config) Server(name string) (*Server, error) {
	names := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	switch {
	case len(names) == 0:
		return nil, sdk.Errorf(sdk.NotFound, "server %q is not configured: %s has no server block", name, strings.Join(c.Paths, ", "))
	case suggest(name, names) != "":
		return nil, sdk.Errorf(sdk.NotFound, "server %q is not configured; did you mean %q?", name, suggest(name, names))
	}
	return nil, sdk.Errorf(sdk.NotFound, "server %q is not configured; `barman list-servers` shows those that are", name)
}

// Plugin returns the plugin block of a kind and name.
func (c *Config) Plugin(kind, name string) (PinnedPlugin, bool) {
	for _, p := range c.Plugins {
		if p.Kind == kind && p.Name == name {
			return p, true
		}
	}
	return PinnedPlugin{}, false
}
