package main

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/config"
)

type fact string

func (f fact) text(w io.Writer, s style) { _, _ = io.WriteString(w, s.good(string(f))+"\n") }
func (f fact) document() map[string]any  { return map[string]any{string(f): "<true>"} }

func TestTheConsoleSeparatesAnswersFromTrouble(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := &console{stdout: &stdout, stderr: &stderr}
	c.answer(fact("b"))
	c.info("done")
	c.warn("careful")
	c.fail(errors.New("broken"))
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("b\ndone\n", stdout.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("WARNING: careful\nERROR: broken\n", stderr.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAQuietConsoleTellsOfTroubleOnly(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := &console{stdout: &stdout, stderr: &stderr, quiet: true, style: style{color: true}}
	c.answer(fact("b"))
	c.info("done")
	c.fail(errors.New("broken"))
	if stdout.Len() > 0 || stderr.String() != "\x1b[31mERROR: broken\x1b[0m\n" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}

func TestADocumentIsOneLineWithSortedKeys(t *testing.T) {
	var stdout bytes.Buffer
	d := &document{stdout: &stdout, object: map[string]any{}}
	d.answer(fact("b"))
	d.answer(fact("a"))
	d.info("done")
	d.warn("careful")
	d.fail(errors.New("broken"))
	d.fail(errors.New("really"))
	if stdout.Len() > 0 {
		t.Errorf("printed before the end: %s", stdout.String())
	}
	if err := d.finish(); err != nil {
		t.Fatal(err)
	}
	want := `{"_ERROR":["broken","really"],"_INFO":["done"],"_WARNING":["careful"],"a":"<true>","b":"<true>"}` + "\n"
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Error(diff)
	}
}

func TestADocumentTellsWhereTheConfigurationIsWrong(t *testing.T) {
	var stdout bytes.Buffer
	d := &document{stdout: &stdout, object: map[string]any{}}
	where := hcl.Range{Filename: "barman.hcl", Start: hcl.Pos{Line: 3, Column: 7}}
	d.diagnose(&config.Error{Diagnostics: hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Wrong value", Detail: "Say 5.", Subject: &where}}})
	if err := d.finish(); err != nil {
		t.Fatal(err)
	}
	want := `{"_DIAGNOSTICS":[{"severity":"error","file":"barman.hcl","line":3,"column":7,"summary":"Wrong value","detail":"Say 5."}],` +
		`"_ERROR":["barman.hcl:3:7: Wrong value: Say 5."]}` + "\n"
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAQuietDocumentIsNoneButTroubleIsTold(t *testing.T) {
	var stdout, stderr bytes.Buffer
	d := &document{stdout: &stdout, stderr: &stderr, quiet: true, object: map[string]any{}}
	d.answer(fact("b"))
	d.fail(errors.New("broken"))
	if err := d.finish(); err != nil || stdout.Len() > 0 || stderr.String() != "ERROR: broken\n" {
		t.Errorf("%v, stdout %q, stderr %q", err, stdout.String(), stderr.String())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnAnswerThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, p := range []printer{&console{stdout: full{}, stderr: io.Discard}, &document{stdout: full{}, object: map[string]any{}}} {
		p.answer(fact("b"))
		if err := p.finish(); err == nil {
			t.Errorf("%T: no error", p)
		}
	}
}
