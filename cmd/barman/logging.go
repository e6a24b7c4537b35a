package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// screen is standard error, which a progress bar may borrow: what is written
// meanwhile appears above the bar.
type screen struct {
	mu       sync.Mutex
	w        io.Writer
	borrower io.Writer
}

// Write goes to the borrower, unless that takes nothing any more.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.borrower != nil {
		if n, err := s.borrower.Write(p); err == nil {
			return n, nil
		}
	}
	return s.w.Write(p)
}

// lend lets w take what is written; nil ends that.
func (s *screen) lend(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.borrower = w
}

// logger returns the log: the configuration's log_file, and standard error for
// what somebody should see there.
func (a *app) logger() hclog.Logger {
	if a.log != nil {
		return a.log
	}
	configured := "info"
	file := ""
	if a.config != nil {
		configured, file = a.config.Global.LogLevel, a.config.Global.LogFile
	}
	level, err := logLevel(cmp.Or(a.options.logLevel, configured))
	if err != nil {
		level = hclog.Info
	}
	if a.options.debug {
		level = min(level, hclog.Debug)
	}
	screenLevel := a.screenLevel(level, file != "")
	if file == "" {
		a.log = hclog.New(&hclog.LoggerOptions{Output: redactor{a.stderr}, Level: screenLevel})
		return a.log
	}
	w, err := openLog(file)
	if err != nil {
		a.print().warn(fmt.Sprintf("log file: %v; logging to standard error", err))
		a.log = hclog.New(&hclog.LoggerOptions{Output: redactor{a.stderr}, Level: a.screenLevel(level, false)})
		return a.log
	}
	a.closers = append(a.closers, w.Close)
	log := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: redactor{w}, Level: level})
	a.logFile = hclog.New(&hclog.LoggerOptions{Output: redactor{w}, Level: level})
	log.RegisterSink(hclog.NewSinkAdapter(&hclog.LoggerOptions{Output: redactor{a.stderr}, Level: screenLevel}))
	a.log = log
	return a.log
}

// logLevel reads a level as Barman in Python has them, by name or number, and
// "trace".
func logLevel(text string) (hclog.Level, error) {
	switch strings.ToUpper(text) {
	case "NOTSET", "TRACE":
		return hclog.Trace, nil
	case "DEBUG":
		return hclog.Debug, nil
	case "INFO":
		return hclog.Info, nil
	case "WARNING", "WARN":
		return hclog.Warn, nil
	case "ERROR":
		return hclog.Error, nil
	case "CRITICAL", "FATAL":
		return hclog.Off, nil // nothing is logged as more than an error
	}
	number, err := strconv.Atoi(text)
	switch {
	case err != nil || number < 0:
		return 0, fmt.Errorf("%s: it is one of NOTSET, DEBUG, INFO, WARNING, ERROR and CRITICAL, or a number from 0 on", text)
	case number < 10:
		return hclog.Trace, nil
	case number <= 40: // 10 is DEBUG, 20 INFO, 30 WARNING, 40 ERROR; what is between counts up
		return hclog.Debug + hclog.Level((number-1)/10), nil
	}
	return hclog.Off, nil
}

// record writes what a command failed with into the log file, if there is one:
// on the screen it is printed as the command's answer.
func (a *app) record(err error) {
	if err == nil || a.config == nil || a.config.Global.LogFile == "" {
		return
	}
	if a.logger(); a.logFile != nil {
		a.logFile.Error(err.Error())
	}
}

// screenLevel is what appears on standard error: everything that was asked for,
// but on a terminal, beside a log file and when quiet only what is out of order.
func (a *app) screenLevel(level hclog.Level, logged bool) hclog.Level {
	asked := a.options.debug || a.options.logLevel != "" && !logged
	if asked || !logged && !a.terminal && !a.options.quiet {
		return level
	}
	return max(level, hclog.Warn)
}

// openLog opens the log file for appending; it and its directory are not for
// everybody to read.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
}
