package stage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Kinds are the kinds of plugin, in the order of a pipeline.
var kinds = []string{"source", "transform", "sink", "hook"}

const prefix = "barman-plugin-"

// Plugin is a plugin binary that was found.
type Plugin struct {
	// Kind is source, transform, sink or hook.
	Kind string
	// Name is the name that a stage's block in the configuration gives.
	Name string
	// Path is the absolute path of the binary.
	Path string
	// SHA256 is the checksum that the configuration pins; empty for none.
	SHA256 string
}

// Finder looks for plugins.
type Finder struct {
	// Directories are searched in this order.
	Directories []string
	// Declared are the plugin blocks of the configuration. They come before
	// everything that is found in directories; one without a path only pins a
	// checksum.
	Declared []Plugin
}

// DefaultDirectories is where plugins are when the configuration does not say:
// beside the barman binary.
func DefaultDirectories() ([]string, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if executable, err = filepath.EvalSymlinks(executable); err != nil {
		return nil, err
	}
	return []string{filepath.Dir(executable)}, nil
}

// Find returns the plugin of a kind and name.
func (f Finder) Find(kind, name string) (Plugin, error) {
	found := Plugin{Kind: kind, Name: name}
	if !validName(name) {
		return found, sdk.Errorf(sdk.Invalid, "%q is not a plugin name", name)
	}
	for _, declared := range f.Declared {
		if declared.Kind == kind && declared.Name == name {
			found.SHA256 = declared.SHA256
			if declared.Path != "" {
				return declared, nil
			}
		}
	}
	for _, directory := range f.Directories {
		path := filepath.Join(directory, prefix+kind+"-"+name)
		if _, err := os.Stat(path); err == nil {
			found.Path = path
			return found, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return found, sdk.Errorf(sdk.Denied, "plugin %s %q: %w", kind, name, err)
		}
	}
	return found, sdk.Errorf(sdk.NotFound, "no %s plugin %q: there is no %s%s-%s in %s; %s", kind, name, prefix, kind, name,
		strings.Join(f.Directories, ", "), f.known(kind))
}

func (f Finder) known(kind string) string {
	var names []string
	found, err := f.List()
	if err == nil {
		for _, p := range found {
			if p.Kind == kind {
				names = append(names, p.Name)
			}
		}
	}
	if len(names) == 0 {
		return "set plugin_dirs in the barman block to where the plugins are"
	}
	return "the " + kind + " plugins found are: " + strings.Join(names, ", ")
}

// List returns all plugins, each kind and name once, sorted by kind in the
// order of a pipeline and then by name.
func (f Finder) List() ([]Plugin, error) {
	seen := map[string]bool{}
	var all []Plugin
	add := func(p Plugin) {
		if key := p.Kind + "-" + p.Name; !seen[key] {
			seen[key] = true
			all = append(all, p)
		}
	}
	for _, declared := range f.Declared {
		if p, err := f.Find(declared.Kind, declared.Name); err == nil {
			add(p)
		}
	}
	for _, directory := range f.Directories {
		entries, err := os.ReadDir(directory)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, sdk.Errorf(sdk.Denied, "plugin directory: %w", err)
		}
		for _, entry := range entries {
			kind, name, ok := parse(entry.Name())
			if !ok {
				continue
			}
			if p, err := f.Find(kind, name); err == nil {
				add(p)
			}
		}
	}
	slices.SortFunc(all, func(a, b Plugin) int {
		if order := slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// parse splits a binary's name into kind and name.
func parse(file string) (kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(file, prefix)
	if !ok {
		return "", "", false
	}
	kind, name, ok = strings.Cut(rest, "-")
	return kind, name, ok && slices.Contains(kinds, kind) && validName(name)
}

// validName keeps names from being paths.
func validName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
