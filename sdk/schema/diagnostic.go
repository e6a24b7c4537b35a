package schema

import "strings"

// Diagnostic is something wrong with a plugin's settings.
type Diagnostic struct {
	// Path leads to the setting: "level", "retry.times", or "rule[1].name" for
	// the second block of a kind that may be repeated. The core turns it into
	// file, line and column. Empty means the settings as a whole.
	Path string `json:"path,omitempty"`
	// Summary is a short noun phrase: "Invalid bucket name".
	Summary string `json:"summary"`
	// Detail says what is wrong and what to change.
	Detail string `json:"detail,omitempty"`
}

// String returns the diagnostic in one line.
func (d Diagnostic) String() string {
	text := d.Summary
	if d.Path != "" {
		text = d.Path + ": " + text
	}
	if d.Detail != "" {
		text += "; " + d.Detail
	}
	return text
}

// Diagnostics is everything wrong with a plugin's settings.
type Diagnostics []Diagnostic

// Error returns one line for each diagnostic, so that Diagnostics can travel as
// an error; use Err to make one.
func (d Diagnostics) Error() string {
	lines := make([]string, len(d))
	for i, diagnostic := range d {
		lines[i] = diagnostic.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the diagnostics as an error, nil when there are none.
func (d Diagnostics) Err() error {
	if len(d) == 0 {
		return nil
	}
	return d
}

// Validator is a configuration that can tell more about itself than the schema
// does. Validate touches neither the network nor the file system: it runs each
// time a configuration is looked at.
type Validator interface {
	Validate() Diagnostics
}
