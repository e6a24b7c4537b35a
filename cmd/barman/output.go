package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/barman-go/barman/core/config"
)

// answer is what a command has found out.
type answer interface {
	// text writes it for people, in the layout that scripts may rely on.
	text(w io.Writer, s style)
	// document returns it for programs: the keys that it adds to the one object
	// that a command prints.
	document() map[string]any
}

// printer prints in one format. Answers go to standard output; what is wrong
// goes to standard error, or into the document.
type printer interface {
	answer(answer)
	info(text string)
	warn(text string)
	fail(err error)
	// diagnose prints what is wrong with the configuration.
	diagnose(*config.Error)
	// finish prints what is printed at the end.
	finish() error
}

// style colours words when colours are wanted.
type style struct{ color bool }

func (s style) good(text string) string   { return s.in("32", text) }
func (s style) bad(text string) string    { return s.in("31", text) }
func (s style) notice(text string) string { return s.in("33", text) }

func (s style) in(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// console prints at once.
type console struct {
	stdout, stderr io.Writer
	style          style
	quiet          bool
	failed         error
}

func (c *console) answer(a answer) {
	var b bytes.Buffer
	a.text(&b, c.style)
	c.print(b.String())
}

func (c *console) info(text string) { c.print(text + "\n") }

func (c *console) print(text string) {
	if c.quiet || text == "" {
		return
	}
	if _, err := io.WriteString(c.stdout, redact(text)); err != nil && c.failed == nil {
		c.failed = fmt.Errorf("standard output: %w", err)
	}
}

func (c *console) warn(text string) { fmt.Fprintln(c.stderr, c.style.notice("WARNING: "+redact(text))) }

func (c *console) fail(err error) { fmt.Fprintln(c.stderr, c.style.bad("ERROR: "+redact(err.Error()))) }

func (c *console) diagnose(e *config.Error) {
	var b bytes.Buffer
	if err := e.Render(&b, c.style.color); err != nil {
		c.fail(e)
		return
	}
	fmt.Fprint(c.stderr, redact(b.String()))
}

func (c *console) finish() error { return c.failed }

// document prints one JSON object when all is done. A quiet one prints nothing,
// and errors as the console does.
type document struct {
	stdout, stderr io.Writer
	quiet          bool
	object         map[string]any
}

func (d *document) answer(a answer) { maps.Copy(d.object, a.document()) }

func (d *document) info(text string) { d.add("_INFO", text) }
func (d *document) warn(text string) { d.add("_WARNING", text) }

func (d *document) fail(err error) {
	if d.quiet {
		fmt.Fprintln(d.stderr, "ERROR: "+redact(err.Error()))
	}
	d.add("_ERROR", err.Error())
}

func (d *document) diagnose(e *config.Error) {
	d.fail(e)
	known, _ := d.object["_DIAGNOSTICS"].([]config.Message)
	d.object["_DIAGNOSTICS"] = append(known, e.Messages()...)
}

func (d *document) add(key, text string) {
	known, _ := d.object[key].([]string)
	d.object[key] = append(known, text)
}

func (d *document) finish() error {
	if d.quiet {
		return nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d.object); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	masked, err := redactJSON(b.Bytes())
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if _, err := d.stdout.Write(masked); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
