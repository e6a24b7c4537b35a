package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/barman-go/barman/sdk/schema"
)

const (
	kindSource    = "source"
	kindTransform = "transform"
	kindSink      = "sink"
	kindHook      = "hook"
)

// Stage is a stage of a pipeline, or a hook, as it is configured. Its settings
// are the plugin's business: Decode reads them once the plugin has told its
// schema.
type Stage struct {
	// Kind is source, transform, sink or hook.
	Kind string
	// Name is the plugin's name.
	Name string
	// Required is false for a sink whose failure does not fail the pipeline.
	Required bool
	// Body holds the settings as written, the core's own among them.
	Body hcl.Body
	// DefRange is the header of the stage's block; of a stage that stands there
	// by default, the header of the server's block.
	DefRange hcl.Range

	ctx *hcl.EvalContext
	// exposed tells of a file name whether others may read the file.
	exposed map[string]bool
}

// Hook is a plugin that is told of an event.
type Hook struct {
	// Event is the phase and the operation: "pre_backup", "post_wal_delete" …
	Event string
	// Retry asks that the hook be tried again until it succeeds. The plugin does
	// so itself: Stage.Decode hands the setting on when the plugin's schema has
	// a "retry".
	Retry bool
	// Stage is the hook plugin with its settings; its Kind is "hook".
	Stage Stage
}

// String names the stage as in: sink "s3".
func (s Stage) String() string { return fmt.Sprintf("%s %q", s.Kind, s.Name) }

// Has tells whether a setting is written in the stage's block.
func (s Stage) Has(setting string) bool {
	found, _, _ := s.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: setting}}})
	return found != nil && found.Attributes[setting] != nil
}

// Text returns a setting as text, for what the core has to know of a plugin's
// settings without starting the plugin. It is empty where the setting is not
// written or has no value: what is wrong with it is Decode's to say.
func (s Stage) Text(setting string) string {
	found, _, _ := s.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: setting}}})
	if found == nil || found.Attributes[setting] == nil {
		return ""
	}
	got, diags := found.Attributes[setting].Expr.Value(s.ctx)
	if diags.HasErrors() || got.IsNull() || !got.IsWhollyKnown() {
		return ""
	}
	text, err := asString(got)
	if err != nil {
		return ""
	}
	return text
}

func (s Stage) source(setting string) string {
	found, _, _ := s.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: setting}}})
	if found == nil || found.Attributes[setting] == nil {
		return ""
	}
	return found.Attributes[setting].Range.Filename
}

// reserved are the settings of a stage's block that are the core's.
func (s Stage) reserved() []string {
	switch s.Kind {
	case kindSink:
		return []string{"required"}
	case kindHook:
		return []string{"plugin", "retry"}
	}
	return nil
}

// Decode holds the stage's body against the schema that its plugin describes
// itself with. It returns the values as the JSON object that schema.Schema
// documents. Unknown settings, wrong types and missing settings are errors with
// their places; a secret written literally into a file that others may read is a
// warning.
func (s Stage) Decode(described schema.Schema) ([]byte, hcl.Diagnostics) {
	read, diags := s.read(described)
	if diags.HasErrors() {
		return nil, tidy(diags)
	}
	values, err := json.Marshal(read)
	if err != nil {
		return nil, append(diags, mistake(s.DefRange, "Unusable settings", fmt.Sprintf("The settings of %s cannot be sent to the plugin: %v.", s, err)))
	}
	return values, tidy(diags)
}

func (s Stage) read(described schema.Schema) (*settings, hcl.Diagnostics) {
	if err := described.Check(); err != nil {
		detail := fmt.Sprintf("The plugin of %s describes its settings wrongly: %v. This is a mistake in the plugin.", s, err)
		return nil, hcl.Diagnostics{mistake(s.DefRange, "Broken plugin", detail)}
	}
	var own []hcl.AttributeSchema
	for _, name := range s.reserved() {
		_, passedOn := described.Attribute(name)
		switch {
		case !passedOn:
			own = append(own, hcl.AttributeSchema{Name: name})
		case name != "retry":
			detail := fmt.Sprintf("The plugin of %s has a setting %q, which belongs to barman. This is a mistake in the plugin.", s, name)
			return nil, hcl.Diagnostics{mistake(s.DefRange, "Broken plugin", detail)}
		}
	}
	_, body, diags := s.Body.PartialContent(&hcl.BodySchema{Attributes: own})
	read, more := readBody(body, s.DefRange, described, s.ctx)
	diags = append(diags, more...)
	diags = append(diags, read.missing(s.String())...)
	return read, append(diags, s.exposures(read)...)
}

// exposures warns of secrets in plain sight.
func (s Stage) exposures(read *settings) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range read.schema.Attributes {
		v, given := read.attributes[a.Name]
		if given && a.Sensitive && s.exposed[v.whole.Filename] && v.isLiteral() {
			diags = append(diags, exposed(v.whole, a.Name))
		}
	}
	for _, described := range read.schema.Blocks {
		for _, nested := range read.blocks[described.Name] {
			diags = append(diags, s.exposures(nested)...)
		}
	}
	return diags
}

func exposed(where hcl.Range, name string) *hcl.Diagnostic {
	detail := fmt.Sprintf("%q holds a secret and everybody on this machine may read %s. Take it from env(\"…\") or file(\"…\"), or chmod the file to 0640.",
		name, where.Filename)
	return warning(where, "Exposed secret", detail)
}

// Diagnose gives what a plugin found wrong with its settings its place in the
// configuration. A path that leads nowhere ends at the stage's header.
func (s Stage) Diagnose(found schema.Diagnostics) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, d := range found {
		detail := d.Detail
		where, exact := s.locate(d.Path)
		if !exact && d.Path != "" {
			detail = strings.TrimSpace(fmt.Sprintf("Setting %q of %s: %s", d.Path, s, detail))
		}
		diags = append(diags, mistake(where, d.Summary, detail))
	}
	return tidy(diags)
}

// locate returns the range of the setting that a path leads to, or as near as
// it gets.
func (s Stage) locate(path string) (where hcl.Range, exact bool) {
	where = s.DefRange
	body, ok := s.Body.(*hclsyntax.Body)
	if !ok {
		return where, false
	}
	for step := range strings.SplitSeq(path, ".") {
		if attribute, given := body.Attributes[step]; given {
			return attribute.SrcRange, true
		}
		block := nthBlock(body, step)
		if block == nil {
			return where, false
		}
		where, body = block.DefRange(), block.Body
	}
	return where, true
}

// nthBlock finds the block of a step such as "retry" or "rule[1]".
func nthBlock(body *hclsyntax.Body, step string) *hclsyntax.Block {
	name, index, indexed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
	n := 0
	if indexed {
		var err error
		if n, err = strconv.Atoi(index); err != nil || n < 0 {
			return nil
		}
	}
	same := slices.DeleteFunc(slices.Clone(body.Blocks), func(b *hclsyntax.Block) bool { return b.Type != name })
	if n >= len(same) {
		return nil
	}
	return same[n]
}
