package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/barman-go/barman/sdk"
)

const (
	formatConsole = "console"
	formatJSON    = "json"
)

// globalOptions hold for every command, before or after its name.
type globalOptions struct {
	config   string
	format   string
	color    string
	logLevel string
	quiet    bool
	debug    bool
}

func (o *globalOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.config, "config", "c", "", "configuration `FILE` (default $BARMAN_CONFIG_FILE, ~/.barman.hcl, /etc/barman.hcl or a barman.conf)")
	flags.StringVarP(&o.format, "format", "f", formatConsole, "output `FORMAT`: console or json")
	flags.StringVar(&o.color, "color", "auto", "`WHEN` to colour the output: always, auto or never")
	flags.StringVar(&o.logLevel, "log-level", "", "least severe `LEVEL` to log: DEBUG, INFO, WARNING, ERROR, CRITICAL, NOTSET or a number (default from the configuration)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and warnings only")
	flags.BoolVarP(&o.debug, "debug", "d", false, "log debug messages on standard error")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "colour" {
			name = "color"
		}
		return pflag.NormalizedName(name)
	})
}

func (o *globalOptions) check() error {
	if _, err := logLevel(o.logLevel); o.logLevel != "" && err != nil {
		return sdk.Errorf(sdk.Invalid, "--log-level %w", err)
	}
	for _, option := range []struct {
		name, value string
		known       []string
	}{
		{"format", o.format, []string{formatConsole, formatJSON}},
		{"color", o.color, []string{"always", "auto", "never"}},
	} {
		if !slices.Contains(option.known, option.value) {
			return sdk.Errorf(sdk.Invalid, "--%s %s: it is one of %s", option.name, option.value, strings.Trim(strings.Join(option.known, ", "), ", "))
		}
	}
	return nil
}
