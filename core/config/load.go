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
// ~/.barman.hcl, or /etc/barman.hcl with /etc/barman.d/*.hcl in sorted order. A
// file that was named is read alone.
//
// No configuration is NotFound, a file that is not HCL is Invalid, and mistakes
// in the configuration are an *Error, which is Invalid too.
func (e Environment) Load(path string) (*Config, error) {
	paths, err := e.locate(path)
	if err != nil {
		return nil, err
	}
	l := newLoader(e)
	for _, path := range paths {
		if err := l.read(path); err != nil {
			return nil, err
		}
	}
	return l.finish()
}

// locate returns the files to read.
func (e Environment) locate(path string) ([]string, error) {
	if path == "" {
		path, _ = e.LookupEnv(EnvConfigFile)
	}
	if path != "" {
		return e.named(path)
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
	if ini := filepath.Join(e.System, "barman.conf"); exists(ini) {
		text += fmt.Sprintf("; %s is there, but reading INI files is not supported yet", ini)
	}
	return sdk.Errorf(sdk.NotFound, "%s", text)
}

// named returns the one file that was asked for.
func (e Environment) named(path string) ([]string, error) {
	if rest, found := strings.CutPrefix(path, "~/"); found && e.Home != "" {
		path = filepath.Join(e.Home, rest)
	}
	if filepath.Ext(path) != ".hcl" {
		return nil, sdk.Errorf(sdk.Invalid, "configuration file %s: its name does not end in .hcl; reading INI files (barman.conf) is not supported yet, "+
			"write the settings in HCL", path)
	}
	return []string{path}, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// read parses a file and takes its blocks. Its error is about the file as such.
func (l *loader) read(path string) error {
	src, err := readFile(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sdk.Errorf(sdk.NotFound, "configuration file: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return sdk.Errorf(sdk.Denied, "configuration file: %w", err)
	case err != nil:
		return sdk.Errorf(sdk.Invalid, "configuration file: %w", err)
	}
	info, err := os.Stat(path)
	l.exposed[path] = err == nil && info.Mode().Perm()&0o004 != 0
	l.parse(path, src)
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
