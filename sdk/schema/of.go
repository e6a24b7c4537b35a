package schema

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Of returns the schema that a struct (or a pointer to one) describes. A field
// takes part by its tags:
//
//	hcl:"name"            a required attribute
//	hcl:"name,optional"   an attribute that may be left out
//	hcl:"name,block"      a block: T is required, *T may be left out, []T may be repeated
//	doc:"…"               a sentence for the reference
//	default:"…"           what holds when an optional attribute is left out
//
// Attributes are string, bool, int, int64, float64, time.Duration, ByteSize,
// Secret, a pointer to one of these (nil when left out), []string or
// map[string]string. A default of a list or a map is written as JSON. Fields
// without these tags are left alone. A mistake in the tags is an error that
// names the field.
func Of(config any) (Schema, error) {
	d, err := NewDecoder(config)
	if err != nil {
		return Schema{}, err
	}
	return d.Schema(), nil
}

// plan ties a schema to the fields of a struct type.
type plan struct {
	schema Schema
	// attributes and blocks hold field numbers, in the order of the schema's.
	attributes, blocks []int
	nested             []*plan
}

func planOf(t reflect.Type, depth int) (*plan, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%s: blocks nest more than %d deep", t, MaxDepth)
	}
	p := &plan{}
	for i := range t.NumField() {
		if err := p.add(t.Field(i), i, depth); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, t.Field(i).Name, err)
		}
	}
	return p, nil
}

func (p *plan) add(f reflect.StructField, index, depth int) error {
	tag, tagged := f.Tag.Lookup("hcl")
	fallback, hasDefault := f.Tag.Lookup("default")
	doc, hasDoc := f.Tag.Lookup("doc")
	switch {
	case !tagged && (hasDefault || hasDoc):
		return fmt.Errorf("a doc or default tag without an hcl tag")
	case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
		return fmt.Errorf("an embedded struct; name the field and make it a block")
	case !tagged:
		return nil
	case !f.IsExported():
		return fmt.Errorf("an hcl tag on a field that is not exported")
	}
	name, mode, _ := strings.Cut(tag, ",")
	if !validName.MatchString(name) {
		return fmt.Errorf("hcl:%q: a name has lower case letters, digits and underscores, and begins with a letter", tag)
	}
	switch mode {
	case "", "optional":
		return p.addAttribute(f, index, Attribute{Name: name, Required: mode == "", Default: fallback, Doc: doc})
	case "block":
		if hasDefault {
			return fmt.Errorf("a block has no default")
		}
		return p.addBlock(f, index, Block{Name: name, Doc: doc}, depth)
	}
	return fmt.Errorf("hcl:%q: after the name comes nothing, optional or block", tag)
}

func (p *plan) addAttribute(f reflect.StructField, index int, a Attribute) error {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var known bool
	if a.Type, known = attributeType(t); !known || (t != f.Type && (a.Type == List || a.Type == Map)) {
		return fmt.Errorf("no setting can have the type %s", f.Type)
	}
	a.Sensitive = t == reflect.TypeFor[Secret]()
	if err := a.check(); err != nil {
		return err
	}
	p.schema.Attributes = append(p.schema.Attributes, a)
	p.attributes = append(p.attributes, index)
	return nil
}

func attributeType(t reflect.Type) (Type, bool) {
	switch t {
	case reflect.TypeFor[string](), reflect.TypeFor[Secret]():
		return String, true
	case reflect.TypeFor[bool]():
		return Bool, true
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		return Int, true
	case reflect.TypeFor[float64]():
		return Number, true
	case reflect.TypeFor[time.Duration]():
		return Duration, true
	case reflect.TypeFor[ByteSize]():
		return Size, true
	case reflect.TypeFor[[]string]():
		return List, true
	case reflect.TypeFor[map[string]string]():
		return Map, true
	}
	return "", false
}

func (p *plan) addBlock(f reflect.StructField, index int, b Block, depth int) error {
	t := f.Type
	switch t.Kind() {
	case reflect.Struct:
		b.Required = true
	case reflect.Pointer:
		t = t.Elem()
	case reflect.Slice:
		b.Many = true
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return fmt.Errorf("a block is a struct, a pointer to one or a slice of them, not %s", f.Type)
	}
	nested, err := planOf(t, depth-1)
	if err != nil {
		return err
	}
	b.Schema = nested.schema
	p.schema.Blocks = append(p.schema.Blocks, b)
	p.blocks = append(p.blocks, index)
	p.nested = append(p.nested, nested)
	return nil
}
