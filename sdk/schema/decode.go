package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// Decode reads values, a JSON object as the core sends it, into the struct that
// config points to. It is strict: a setting that the struct does not have, one
// of the wrong type and one that is required but absent are mistakes, and null
// counts as absent. Defaults are applied; a field with neither value nor
// default keeps what it held.
//
// An error about the settings is of type Diagnostics and lists all of them;
// config is then filled in part and must not be used.
func Decode(values []byte, config any) error {
	d, err := NewDecoder(config)
	if err != nil {
		return err
	}
	return d.Decode(values, config)
}

// Decoder decodes many values into structs of one type without looking at the
// type's tags each time.
type Decoder struct {
	plan   *plan
	target reflect.Type
}

// NewDecoder returns a decoder for the type of config, a struct or a pointer to
// one. Its errors are those of Of.
func NewDecoder(config any) (*Decoder, error) {
	t := reflect.TypeOf(config)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings are described by a struct, not by %T", config)
	}
	p, err := planOf(t, MaxDepth)
	if err != nil {
		return nil, err
	}
	if err := p.schema.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	return &Decoder{plan: p, target: t}, nil
}

// Schema returns the schema of the decoder's type.
func (d *Decoder) Schema() Schema { return d.plan.schema }

// Decode does what the function Decode does; config points to a struct of the
// decoder's type.
func (d *Decoder) Decode(values []byte, config any) error {
	v := reflect.ValueOf(config)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Type() != d.target {
		return fmt.Errorf("settings are decoded into a *%s, not into a %T", d.target, config)
	}
	if len(bytes.TrimSpace(values)) == 0 {
		values = []byte("{}")
	}
	return d.plan.decode("", values, v.Elem()).Err()
}

func (p *plan) decode(path string, raw []byte, target reflect.Value) Diagnostics {
	object, err := unmarshal[map[string]json.RawMessage](raw)
	if err != nil {
		return Diagnostics{{Path: path, Summary: "Invalid settings", Detail: "Settings are a JSON object."}}
	}
	for name, value := range object {
		if isNull(value) {
			delete(object, name)
		}
	}
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	var diags Diagnostics
	for i, a := range p.schema.Attributes {
		if err := a.decode(object[a.Name], target.Field(p.attributes[i])); err != nil {
			diags = append(diags, err.at(prefix+a.Name))
		}
		delete(object, a.Name)
	}
	for i, b := range p.schema.Blocks {
		diags = append(diags, p.nested[i].decodeBlock(b, prefix+b.Name, object[b.Name], target.Field(p.blocks[i]))...)
		delete(object, b.Name)
	}
	for _, name := range sortedKeys(object) {
		diags = append(diags, Diagnostic{Path: prefix + name, Summary: "Unknown setting", Detail: fmt.Sprintf("There is no setting %q.", name)})
	}
	return diags
}

func (d *Diagnostic) at(path string) Diagnostic {
	return Diagnostic{Path: path, Summary: d.Summary, Detail: d.Detail}
}

func (a Attribute) decode(raw json.RawMessage, field reflect.Value) *Diagnostic {
	var (
		value any
		err   error
	)
	switch {
	case raw != nil:
		value, err = a.Type.parseJSON(raw)
	case a.Required:
		return &Diagnostic{Summary: "Missing setting", Detail: fmt.Sprintf("The setting %q is required.", a.Name)}
	case a.Default == "":
		return nil
	default:
		value, err = a.Type.parseText(a.Default)
	}
	if err == nil {
		err = assign(field, value)
	}
	if err != nil {
		return &Diagnostic{Summary: "Invalid value", Detail: fmt.Sprintf("Setting %q: %v.", a.Name, err)}
	}
	return nil
}

// assign stores what parseJSON or parseText returned in a field whose type
// attributeType accepted.
func assign(field reflect.Value, value any) error {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Int64 && field.OverflowInt(v.Int()) {
		return fmt.Errorf("%d is out of range", v.Int())
	}
	field.Set(v.Convert(field.Type()))
	return nil
}

func (p *plan) decodeBlock(b Block, path string, raw json.RawMessage, field reflect.Value) Diagnostics {
	missing := Diagnostics{{Path: path, Summary: "Missing block", Detail: fmt.Sprintf("A block %q is required.", b.Name)}}
	switch {
	case raw == nil && b.Required:
		return missing
	case raw == nil:
		return nil
	case b.Many:
		return p.decodeMany(path, raw, field)
	case field.Kind() == reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	return p.decode(path, raw, field)
}

func (p *plan) decodeMany(path string, raw json.RawMessage, field reflect.Value) Diagnostics {
	items, err := unmarshal[[]json.RawMessage](raw)
	if err != nil {
		return Diagnostics{{Path: path, Summary: "Invalid settings", Detail: "Repeated blocks are a JSON array of objects."}}
	}
	var diags Diagnostics
	list := reflect.MakeSlice(field.Type(), len(items), len(items))
	for i, item := range items {
		diags = append(diags, p.decode(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i))...)
	}
	field.Set(list)
	return diags
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

func sortedKeys(object map[string]json.RawMessage) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
