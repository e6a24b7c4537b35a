package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/mattn/go-isatty"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/stage"
)

// app is one run of barman. Whatever costs something is made when a command
// first asks for it: a listing starts no plugin and makes no run directory.
type app struct {
	stdout  io.Writer
	stderr  *screen
	options globalOptions
	printer printer
	style   style
	// terminal is true when somebody watches standard error.
	terminal bool

	config  *config.Config
	log     hclog.Logger
	logFile hclog.Logger // what goes to the log file and not to the screen; nil without one
	running *pipeline.Engine
	closers []func() error
}

func newApp(stdout, stderr *os.File) *app {
	a := &app{stdout: stdout, stderr: &screen{w: stderr}, terminal: isatty.IsTerminal(stderr.Fd())}
	a.style.color = a.terminal && isatty.IsTerminal(stdout.Fd())
	return a
}

// begin takes the global options into account.
func (a *app) begin() error {
	if err := a.options.check(); err != nil {
		return err
	}
	switch a.options.color {
	case "always":
		a.style.color = true
	case "never":
		a.style.color = false
	}
	return nil
}

// print returns the printer of the format that was asked for.
func (a *app) print() printer {
	switch {
	case a.printer != nil:
	case a.options.format == formatJSON:
		a.printer = &document{stdout: a.stdout, stderr: a.stderr, quiet: a.options.quiet, object: map[string]any{}}
	default:
		a.printer = &console{stdout: a.stdout, stderr: a.stderr, style: a.style, quiet: a.options.quiet}
	}
	return a.printer
}

// report prints what a command failed with, unless it has done so itself.
func (a *app) report(err error) {
	var listed *failures
	if err == nil || errors.As(err, &listed) {
		return
	}
	var whole *config.Error
	if e, ok := err.(*config.Error); ok { //nolint:errorlint // wrapped, it is a detail of another failure
		a.print().diagnose(e)
		return
	}
	a.print().fail(err)
	if errors.As(err, &whole) {
		a.print().diagnose(whole)
	}
}

// finish prints what is printed at the end.
func (a *app) finish() error {
	if a.printer == nil {
		return nil
	}
	return a.printer.finish()
}

// close undoes what was made, in the opposite order.
func (a *app) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// configuration loads the configuration.
func (a *app) configuration() (*config.Config, error) {
	if a.config != nil {
		return a.config, nil
	}
	loaded, err := config.Load(a.options.config)
	if err != nil {
		return nil, err
	}
	if err := becomeUser(loaded.Global.User); err != nil {
		return nil, err
	}
	a.config = loaded
	return loaded, nil
}

// reload loads the configuration anew, after it has been changed.
func (a *app) reload() (*config.Config, error) {
	a.config = nil
	return a.configuration()
}

// warnOfConfiguration prints what is doubtful about the configuration. It is for
// commands that people look at, not for those that run every minute.
func (a *app) warnOfConfiguration() error {
	loaded, err := a.configuration()
	if err != nil {
		return err
	}
	for _, message := range config.Messages(loaded.Warnings) {
		a.print().warn(oneLine(message))
	}
	return nil
}

// plugins returns the finder of plugins.
func (a *app) plugins() (stage.Finder, error) {
	loaded, err := a.configuration()
	if err != nil {
		return stage.Finder{}, err
	}
	finder := stage.Finder{Directories: loaded.Global.PluginDirs}
	if len(finder.Directories) == 0 {
		if finder.Directories, err = stage.DefaultDirectories(); err != nil {
			return stage.Finder{}, err
		}
	}
	for _, p := range loaded.Plugins {
		finder.Declared = append(finder.Declared, stage.Plugin{Kind: p.Kind, Name: p.Name, Path: p.Path, SHA256: p.SHA256})
	}
	return finder, nil
}

// found returns all plugins that are found, and the engine to ask them with.
func (a *app) found() ([]stage.Plugin, *pipeline.Engine, error) {
	finder, err := a.plugins()
	if err != nil {
		return nil, nil, err
	}
	list, err := finder.List()
	if err != nil {
		return nil, nil, err
	}
	engine, err := a.engine()
	return list, engine, err
}

// engine returns the engine; its run directory goes when the command ends.
func (a *app) engine() (*pipeline.Engine, error) {
	if a.running != nil {
		return a.running, nil
	}
	finder, err := a.plugins()
	if err != nil {
		return nil, err
	}
	directory, err := stage.NewRunDirectory()
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, directory.Close)
	launcher := stage.Launcher{Finder: finder, RunDirectory: directory.Path, Logger: a.logger()}
	a.running = pipeline.New(launcher, directory.Path, a.logger())
	// For comparison, and for places where shared memory does harm.
	if os.Getenv("BARMAN_NO_RING") != "" {
		a.running.NoRing()
	}
	return a.running, nil
}

// open prepares a server whose pipelines can run.
func (a *app) open(s *config.Server) (*server.Server, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	engine, err := a.engine()
	if err != nil {
		return nil, err
	}
	return server.Open(a.config, s, engine, a.logger())
}

// catalogued prepares a server of which only the catalogue is used.
func (a *app) catalogued(s *config.Server) (*server.Server, error) {
	return server.Open(a.config, s, nil, a.logger())
}

// server finds a server by its name and prepares it with open or catalogued.
func (a *app) server(name string, prepare func(*config.Server) (*server.Server, error)) (*server.Server, error) {
	loaded, err := a.configuration()
	if err != nil {
		return nil, err
	}
	found, err := loaded.Server(name)
	if err != nil {
		return nil, err
	}
	return prepare(found)
}

// isInterrupted tells whether a signal ended the context.
func isInterrupted(ctx context.Context) bool {
	var signalled interruption
	return errors.As(context.Cause(ctx), &signalled)
}
