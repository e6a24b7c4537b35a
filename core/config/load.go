package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/barman-go/barman/sdk"
)

// EnvConfigFile is the environment variable that names the configuration file.
const EnvConfigFile = "BARMAN_CONFIG_FILE"

// maxFile bounds the size of a configuration file.
const maxFile = 4 << 20

// Environment is the outside world as far as a configuration depends on it.
type Environment struct {
	// LookupEnv returns an environment variable and whether it is set.
	LookupEnv func(name string) (string, bool)
	// Home is the user's home directory; empty when there is none.
	Home string
	// System is the directory of the system's configuration, /etc.
	System string

	// replaced is what is read in place of files' contents, by absolute path.
	replaced map[string][]byte
}

// System returns the environment of this process.
func System() Environment {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a user without a home has no file there
	}
	return Environment{LookupEnv: os.LookupEnv, Home: home, System: "/etc"}
}

// Load reads the configuration of this process: Environment.Load of System.
func Load(path string) (*Config, error) { return System().Load(path) }

// Load reads the configuration. path is the file that the user asked for; empty
// means the usual places: the file that BARMAN_CONFIG_FILE names, or
// ~/.barman.hcl, or /etc/barman.hcl with /etc/barman.d/*.hcl in sorted order, or the
// barman.conf of Python Barman where that looks for it: ~/.barman.conf,
// /etc/barman.conf or /etc/barman/barman.conf. A file that was named is read alone,
// and as a barman.conf unless its name ends in .hcl.
//
// No configuration is NotFound, a file that is not HCL is Invalid, and mistakes
// in the configuration are an *Error, which is Invalid too.
func (e Environment) Load(path string) (*Config, error) {
	loaded, err := e.load(path)
	if err != nil {
		return nil, err
	}
	loaded.env, loaded.asked = e, path
	return loaded, nil
}

func (e Environment) load(path string) (*Config, error) {
	paths, err := e.locate(path)
	if err != nil {
		return nil, err
	}
	if !isHCL(paths[0]) {
		return e.loadClassic(paths[0])
	}
	l := newLoader(e)
	for _, path := range paths {
		if err := l.read(path); err != nil {
			return nil, err
		}
	}
	return l.finish()
}

func isHCL(path string) bool { return filepath.Ext(path) == ".hcl" }

// locate returns the files to read.
func (e Environment) locate(path string) ([]string, error) {
	if path == "" {
		path, _ = e.LookupEnv(EnvConfigFile)
	}
	if path != "" {
		return []string{e.expand(path)}, nil
	}
	own := ""
	if e.Home != "" {
		own = filepath.Join(e.Home, ".barman.hcl")
		if exists(own) {
			return []string{own}, nil
		}
	}
	main := filepath.Join(e.System, "barman.hcl")
	var paths []string
	if exists(main) {
		paths = append(paths, main)
	}
	// ReadDir sorts by name.
	directory := filepath.Join(e.System, "barman.d")
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration directory: %w", err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".hcl") && !strings.HasPrefix(entry.Name(), ".") {
			paths = append(paths, filepath.Join(directory, entry.Name()))
		}
	}
	if len(paths) > 0 {
		return paths, nil
	}
	for _, classic := range e.classicPaths() {
		if exists(classic) {
			return []string{classic}, nil
		}
	}
	return nil, e.nothingFound(own, main)
}

func (e Environment) nothingFound(own, main string) error {
	places := main
	if own != "" {
		places = own + " nor " + main
	}
	const example = `server "main" {
  conninfo = "host=pg user=barman dbname=postgres"
}`
	text := fmt.Sprintf("no configuration: there is neither %s; create %s with\n\n%s\n\nor name a file with -c or %s", places, main, example, EnvConfigFile)
	return sdk.Errorf(sdk.NotFound, "%s", text)
}

// classicPaths is where Python Barman looks for its barman.conf.
func (e Environment) classicPaths() []string {
	var paths []string
	if e.Home != "" {
		paths = append(paths, filepath.Join(e.Home, ".barman.conf"))
	}
	return append(paths, filepath.Join(e.System, "barman.conf"), filepath.Join(e.System, "barman", "barman.conf"))
}

// expand replaces the user's home directory.
func (e Environment) expand(path string) string {
	if rest, found := strings.CutPrefix(path, "~/"); found && e.Home != "" {
		return filepath.Join(e.Home, rest)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// read parses a file and takes its blocks. Its error is about the file as such.
func (l *loader) read(path string) error {
	src, err := l.env.content(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	l.exposed[path] = err == nil && info.Mode().Perm()&0o004 != 0
	l.parse(path, src)
	return nil
}

// content reads a file; its errors are about the file as such.
func (e Environment) content(path string) ([]byte, error) {
	if content, is := e.replaced[absolutePath(path)]; is {
		return content, nil
	}
	src, err := readFile(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, sdk.Errorf(sdk.NotFound, "configuration file: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, sdk.Errorf(sdk.Denied, "configuration file: %w", err)
	case err != nil:
		return nil, sdk.Errorf(sdk.Invalid, "configuration file: %w", err)
	}
	return src, nil
}

// changesFile is the file below home that config-update writes.
const changesFile = ".barman.auto.hcl"

// readChanges reads the file that config-update has written, if there is one.
func (l *loader) readChanges() error {
	path := filepath.Join(l.config.Global.Home, changesFile)
	if _, is := l.env.replaced[absolutePath(path)]; l.classic != nil || !is && !exists(path) {
		return nil
	}
	further := &loader{env: l.env, ctx: l.ctx, sections: l.sections, exposed: l.exposed, config: l.config}
	if err := further.read(path); err != nil {
		return err
	}
	l.add(further.diags...)
	for _, block := range append(further.servers, further.models...) {
		l.changed[block.Type+" "+block.Labels[0]] = block
	}
	return nil
}

// parse parses a file's content and takes its blocks.
func (l *loader) parse(path string, src []byte) {
	l.config.Paths = append(l.config.Paths, path)
	if d := tooComplex(path, src); d != nil {
		l.config.files[path] = &hcl.File{Bytes: src}
		l.add(d)
		return
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	l.add(diags...)
	if file == nil {
		return
	}
	l.config.files[path] = file
	l.take(file.Body)
}
