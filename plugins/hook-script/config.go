package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the hook "script".
type Config struct {
	Script  string         `hcl:"script" doc:"Command line that /bin/sh runs."`
	Retry   bool           `hcl:"retry,optional" default:"false" doc:"Run the script until it exits with 0, 62 (give up and go on) or 63 (give up and, before an operation, stop it). Without it the exit code is only logged."`
	Timeout *time.Duration `hcl:"timeout,optional" doc:"How long one run of the script may take before it is ended (default: no limit)."`
}

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	switch {
	case strings.TrimSpace(c.Script) == "":
		found = append(found, schema.Diagnostic{Path: "script", Summary: "No script", Detail: "Name the command that is to be run."})
	case strings.ContainsRune(c.Script, 0):
		found = append(found, schema.Diagnostic{Path: "script", Summary: "Invalid script", Detail: "A command line cannot hold a NUL character."})
	}
	if c.Timeout != nil && *c.Timeout <= 0 {
		found = append(found, schema.Diagnostic{
			Path: "timeout", Summary: "Timeout out of range",
			Detail: fmt.Sprintf("A script cannot end within %s; leave the setting out for no limit.", *c.Timeout),
		})
	}
	return found
}
