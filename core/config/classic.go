package config

import (
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/config/barmanconf"
)

// loadClassic reads a barman.conf of Python Barman, and the files that belong to it.
func (e Environment) loadClassic(path string) (*Config, error) {
	read, err := barmanconf.Read(path, e.content)
	if err != nil {
		return nil, err
	}
	return e.decodeClassic(read, true)
}

// decodeClassic holds a barman.conf against all that a configuration must keep to.
// Models are laid over servers if active.
func (e Environment) decodeClassic(read *barmanconf.Configuration, active bool) (*Config, error) {
	l := newLoader(e)
	l.config.Paths, l.config.classic = read.Paths, read
	for name, content := range read.Content {
		l.config.files[name] = &hcl.File{Bytes: content}
		info, err := os.Stat(name)
		l.exposed[name] = err == nil && info.Mode().Perm()&0o004 != 0
	}
	if err := Check(tidy(read.Diagnostics), l.config.files); err != nil {
		return nil, err
	}
	l.classic = read.Document(active)
	l.add(l.classic.Warnings...)
	l.take(l.classic.Body())
	return l.finish()
}

// Imported is a barman.conf of Python Barman in HCL.
type Imported struct {
	// HCL says the same as the barman.conf, with comments on what is in Warnings. A
	// server with problems is there as a comment only.
	HCL []byte
	// Warnings tell of values that were ignored and of options that have no effect.
	Warnings hcl.Diagnostics
	// Problems are what is wrong with single servers.
	Problems hcl.Diagnostics
	// User is the operating system's user that barman works as.
	User string
	// Paths are the files that were read, in order.
	Paths []string
	files map[string]*hcl.File
}

// Err is nil, or the problems as an *Error.
func (i *Imported) Err() error { return Check(i.Problems, i.files) }

// Import reads a barman.conf of Python Barman and says it in HCL. Errors are those
// of Load.
func (e Environment) Import(path string) (*Imported, error) {
	read, err := barmanconf.Read(e.expand(path), e.content)
	if err != nil {
		return nil, err
	}
	loaded, err := e.decodeClassic(read, false)
	if err != nil {
		return nil, err
	}
	imported := &Imported{User: loaded.Global.User, Paths: loaded.Paths, files: loaded.files}
	problems := map[string]hcl.Diagnostics{}
	for _, s := range loaded.Servers {
		problems[s.Name] = s.Problems
		imported.Problems = append(imported.Problems, s.Problems...)
	}
	document := read.Import(problems)
	imported.Warnings, imported.HCL = tidy(document.Warnings), document.HCL()
	return imported, nil
}
