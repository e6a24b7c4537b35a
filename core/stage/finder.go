package stage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// kinds are the kinds of plugin, in the order of a pipeline.
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

// Find returns the plugin of a kind and name. It is an error of kind NotFound
// when there is none, of kind Invalid when the name can't be one, and of kind
// Denied when a directory can't be searched: what lies in a later one must not
// take the place of what is hidden in it.
func (f Finder) Find(kind, name string) (Plugin, error) {
	if !slices.Contains(kinds, kind) {
		return Plugin{}, sdk.Errorf(sdk.Invalid, "%q is not a kind of plugin: there are %s", kind, strings.Join(kinds, ", "))
	}
	if !validName(name) {
		return Plugin{}, sdk.Errorf(sdk.Invalid, "%q is not a plugin name: it has letters, digits, - and _, at most %d", name, maxName)
	}
	p, err := f.locate(kind, name)
	if err != nil {
		return Plugin{}, sdk.Errorf(sdk.Denied, "plugin %s %q: %w", kind, name, err)
	}
	if p.Path != "" {
		return p, nil
	}
	searched := "any directory, as none is searched"
	if len(f.Directories) > 0 {
		searched = strings.Join(f.Directories, ", ")
	}
	return Plugin{}, sdk.Errorf(sdk.NotFound, "no %s plugin %q: there is no %s%s-%s in %s; %s", kind, name, prefix, kind, name, searched, f.known(kind))
}

// locate looks for a plugin; one that is nowhere has no path.
func (f Finder) locate(kind, name string) (Plugin, error) {
	found := Plugin{Kind: kind, Name: name}
	for _, declared := range f.Declared {
		if declared.Kind != kind || declared.Name != name {
			continue
		}
		if declared.Path != "" {
			return declared, nil
		}
		found.SHA256 = declared.SHA256
	}
	for _, directory := range f.Directories {
		path := filepath.Join(directory, prefix+kind+"-"+name)
		_, err := os.Stat(path)
		if err == nil {
			found.Path = path
			return found, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return found, err
		}
	}
	return found, nil
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
// order of a pipeline and then by name. A directory that does not exist is
// empty; one that can't be read is an error of kind Denied.
func (f Finder) List() ([]Plugin, error) {
	seen := map[string]bool{}
	var all []Plugin
	add := func(kind, name string) error {
		key := kind + "-" + name
		if seen[key] {
			return nil
		}
		seen[key] = true
		p, err := f.locate(kind, name)
		if err != nil {
			return sdk.Errorf(sdk.Denied, "plugin %s %q: %w", kind, name, err)
		}
		if p.Path != "" {
			all = append(all, p)
		}
		return nil
	}
	for _, declared := range f.Declared {
		if err := add(declared.Kind, declared.Name); err != nil {
			return nil, err
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
			if kind, name, ok := parse(entry.Name()); ok {
				if err := add(kind, name); err != nil {
					return nil, err
				}
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

// maxName is how many bytes a plugin's name has at most.
const maxName = 64

// validName keeps names from being paths.
func validName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
