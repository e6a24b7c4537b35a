package config

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/sdk/schema"
)

// settings are the attributes and blocks of an HCL body that follow a schema,
// with their places.
type settings struct {
	where      hcl.Range
	attributes map[string]value
	blocks     map[string][]*settings
	schema     schema.Schema
}

// value is an attribute's value as JSON, in the form that schema.Type states.
type value struct {
	raw json.RawMessage
	// broken is true when the expression gave no usable value, which has been
	// reported; raw is then nil.
	broken bool
	// whole is the range of name and expression.
	whole hcl.Range
	expr  hcl.Expression
}

// bodySchema returns what HCL has to know of a schema. Nothing is required
// here: what is missing is found after defaults are merged, and null counts as
// missing.
func bodySchema(s schema.Schema, labelled ...hcl.BlockHeaderSchema) *hcl.BodySchema {
	b := &hcl.BodySchema{Blocks: labelled}
	for _, a := range s.Attributes {
		b.Attributes = append(b.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, block := range s.Blocks {
		b.Blocks = append(b.Blocks, hcl.BlockHeaderSchema{Type: block.Name})
	}
	return b
}

// readBody reads a body that holds nothing but what the schema allows.
func readBody(body hcl.Body, where hcl.Range, s schema.Schema, ctx *hcl.EvalContext) (*settings, hcl.Diagnostics) {
	content, diags := body.Content(bodySchema(s))
	read, more := readContent(content, where, s, ctx)
	return read, append(diags, more...)
}

// readContent reads what the schema describes and leaves other blocks alone.
func readContent(content *hcl.BodyContent, where hcl.Range, s schema.Schema, ctx *hcl.EvalContext) (*settings, hcl.Diagnostics) {
	read := &settings{where: where, schema: s, attributes: map[string]value{}, blocks: map[string][]*settings{}}
	var diags hcl.Diagnostics
	for _, a := range s.Attributes {
		attribute, given := content.Attributes[a.Name]
		if !given {
			continue
		}
		v, more := readAttribute(attribute, a, ctx)
		diags = append(diags, more...)
		if v.raw != nil || v.broken {
			read.attributes[a.Name] = v
		}
	}
	for _, block := range content.Blocks {
		described, known := s.Block(block.Type)
		if !known {
			continue
		}
		if given := read.blocks[block.Type]; len(given) > 0 && !described.Many {
			diags = append(diags, duplicateBlock(block.Type, block.DefRange, given[0].where))
			continue
		}
		nested, more := readBody(block.Body, block.DefRange, described.Schema, ctx)
		diags = append(diags, more...)
		read.blocks[block.Type] = append(read.blocks[block.Type], nested)
	}
	return read, diags
}

// missing reports required attributes and blocks that are not there. owner is
// what they are missing from, as in `sink "s3"`.
func (s *settings) missing(owner string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range s.schema.Attributes {
		if _, given := s.attributes[a.Name]; !given && a.Required {
			diags = append(diags, mistake(s.where, "Missing argument", fmt.Sprintf("%s needs %q, %s.%s", owner, a.Name, a.Type.Expects(), sentence(a.Doc))))
		}
	}
	for _, b := range s.schema.Blocks {
		if len(s.blocks[b.Name]) == 0 && b.Required {
			diags = append(diags, mistake(s.where, "Missing block", fmt.Sprintf("%s needs a block %q.%s", owner, b.Name, sentence(b.Doc))))
		}
		for _, nested := range s.blocks[b.Name] {
			diags = append(diags, nested.missing(fmt.Sprintf("%s in %s", b.Name, owner))...)
		}
	}
	return diags
}

func sentence(doc string) string {
	if doc == "" {
		return ""
	}
	return " " + doc
}

// over returns own laid over fallback: attribute by attribute, own wins.
func (s *settings) over(fallback *settings) *settings {
	if fallback == nil {
		return s
	}
	merged := &settings{where: s.where, schema: s.schema, attributes: map[string]value{}, blocks: s.blocks}
	for _, layer := range []*settings{fallback, s} {
		for name, v := range layer.attributes {
			merged.attributes[name] = v
		}
	}
	return merged
}

// place returns where an attribute was set, or else where the block begins.
func (s *settings) place(name string) hcl.Range {
	if v, given := s.attributes[name]; given {
		return v.whole
	}
	return s.where
}

func (s *settings) source(name string) string { return s.attributes[name].whole.Filename }

// MarshalJSON writes what was set as schema.Schema describes it, in the order of
// the schema.
func (s *settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	add := func(name string, raw []byte) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, raw)
	}
	for _, a := range s.schema.Attributes {
		if v, given := s.attributes[a.Name]; given && !v.broken {
			add(a.Name, v.raw)
		}
	}
	for _, described := range s.schema.Blocks {
		nested := s.blocks[described.Name]
		if len(nested) == 0 {
			continue
		}
		var shown any = nested
		if !described.Many {
			shown = nested[0]
		}
		raw, err := json.Marshal(shown)
		if err != nil {
			return nil, err
		}
		add(described.Name, raw)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
