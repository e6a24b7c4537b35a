package config

import (
	"fmt"
	"io"
	"maps"
	"regexp"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/sdk"
)

// Error is a configuration that cannot be used. Its kind is Invalid.
type Error struct {
	// Diagnostics are all that was found, warnings included.
	Diagnostics hcl.Diagnostics
	// Files are the files concerned, by name.
	Files map[string]*hcl.File
}

// Message is a diagnostic as plain data, for output in JSON.
type Message struct {
	// Severity is error or warning.
	Severity string `json:"severity"`
	// File, Line and Column tell where; they are empty when it is nowhere in
	// particular. Lines and columns count from 1.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Summary is a short noun phrase.
	Summary string `json:"summary"`
	// Detail says what is wrong and what to change.
	Detail string `json:"detail,omitempty"`
}

// Check returns an Error when the diagnostics hold an error, else nil.
func Check(diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if !diags.HasErrors() {
		return nil
	}
	return &Error{Diagnostics: diags, Files: files}
}

// Error returns the first error in one line and says how many more there are.
func (e *Error) Error() string {
	errs, _ := split(e.Diagnostics)
	if len(errs) == 0 {
		return "configuration: no error"
	}
	text := oneLine(errs[0])
	if len(errs) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(errs)-1)
	}
	return text
}

func oneLine(d *hcl.Diagnostic) string {
	text := d.Summary
	if d.Detail != "" {
		text += ": " + d.Detail
	}
	if d.Subject != nil {
		text = position(*d.Subject) + ": " + text
	}
	return text
}

// Unwrap gives the error its kind.
func (e *Error) Unwrap() error { return sdk.Errorf(sdk.Invalid, "%w", e.Diagnostics) }

// Messages returns the diagnostics as plain data.
func (e *Error) Messages() []Message { return Messages(e.Diagnostics) }

// Messages returns diagnostics as plain data.
func Messages(diags hcl.Diagnostics) []Message {
	messages := make([]Message, 0, len(diags))
	for _, d := range diags {
		m := Message{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			m.Severity = "warning"
		}
		if d.Subject != nil {
			m.File, m.Line, m.Column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
		}
		messages = append(messages, m)
	}
	return messages
}

// Render writes the error's diagnostics as Render does.
func (e *Error) Render(w io.Writer, color bool) error {
	return Render(w, e.Diagnostics, e.Files, color)
}

// Render writes diagnostics for people: place, the source lines with literal
// passwords blotted out, and what to do.
func Render(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File, color bool) error {
	shown := maps.Clone(files)
	for name, file := range shown {
		blotted := *file
		blotted.Bytes = blot(file.Bytes)
		shown[name] = &blotted
	}
	return hcl.NewDiagnosticTextWriter(w, shown, 0, color).WriteDiagnostics(diags)
}

var (
	namedSecret = regexp.MustCompile(`(?i)(?:password|passphrase|secret|secret_key|token)\s*=\s*["']?([^\s"'&]+)`)
	uriPassword = regexp.MustCompile(`://[^:/@\s"]*:([^@\s"]+)@`)
)

// blot replaces literal secrets by as many asterisks. What follows the equals
// sign of an attribute without a quote is an expression and no secret.
func blot(src []byte) []byte {
	src = append([]byte(nil), src...)
	for _, m := range append(namedSecret.FindAllSubmatchIndex(src, -1), uriPassword.FindAllSubmatchIndex(src, -1)...) {
		text := src[m[2]:m[3]]
		if reference.Match(text) {
			continue
		}
		for i := range text {
			text[i] = '*'
		}
	}
	return src
}

var reference = regexp.MustCompile(`^(env\(|file\(|\$\{|trimspace\()`)
