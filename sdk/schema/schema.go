package schema

import (
	"fmt"
	"regexp"
)

// Type is the type of an attribute.
type Type string

const (
	// String is text. The value is sent as a JSON string.
	String Type = "string"
	// Bool is true or false. The value is sent as a JSON boolean.
	Bool Type = "bool"
	// Int is a whole number that fits in 64 bits. The value is sent as a JSON
	// number without fraction or exponent.
	Int Type = "int"
	// Number is a number. The value is sent as a JSON number.
	Number Type = "number"
	// Duration is a length of time, never negative, written with units: "30s",
	// "5m", "1h30m". The value is sent as a JSON string, as it was written.
	Duration Type = "duration"
	// Size is a number of bytes, never negative, written "16MiB", "1GB" or as a
	// plain number. The value is sent as a JSON number of bytes.
	Size Type = "size"
	// List is a list of strings. The value is sent as a JSON array of strings.
	List Type = "list"
	// Map has strings as keys and values. The value is sent as a JSON object.
	Map Type = "map"
)

// MaxDepth is how deep blocks may nest.
const MaxDepth = 8

// Schema describes the settings of a plugin. It is plain data and travels over
// the control connection as JSON:
//
//	{
//	  "attributes": [
//	    {"name": "codec", "type": "string", "required": true, "doc": "gzip, lz4 or zstd."},
//	    {"name": "chunk", "type": "size", "default": "1MiB", "doc": "Bytes compressed at once."},
//	    {"name": "secret_key", "type": "string", "sensitive": true}
//	  ],
//	  "blocks": [
//	    {
//	      "name": "retry", "doc": "How often to try again.",
//	      "attributes": [{"name": "times", "type": "int", "default": "3"}]
//	    }
//	  ]
//	}
//
// Every key that is absent is false, empty or none. The types are those of Type.
// "default" is what the plugin uses when the attribute is not set, in the form
// a user would write it (a list or a map as JSON); it is shown to the user, and
// applying it is up to the plugin. "sensitive" values are never shown. A block
// with "many" may be repeated, any other at most once; "required" asks for at
// least one.
//
// The values come back as one JSON object that has a key for every attribute
// and block that was set, and no other: an attribute in the form that its Type
// describes, a block as an object of the same kind, a block with "many" as an
// array of such objects.
type Schema struct {
	// Attributes are the settings with one value, in the order of the docs.
	Attributes []Attribute `json:"attributes,omitempty"`
	// Blocks are the nested groups of settings.
	Blocks []Block `json:"blocks,omitempty"`
}

// Attribute is a setting: name = value.
type Attribute struct {
	// Name is the setting's name: lower case letters, digits and underscores.
	Name string `json:"name"`
	// Type is the type of the value.
	Type Type `json:"type"`
	// Required is true when the setting must be given.
	Required bool `json:"required,omitempty"`
	// Default is what holds when the setting is not given, as a user would
	// write it; empty for none.
	Default string `json:"default,omitempty"`
	// Doc is a sentence about the setting.
	Doc string `json:"doc,omitempty"`
	// Sensitive is true when the value must never be shown.
	Sensitive bool `json:"sensitive,omitempty"`
}

// Block is a nested group of settings: name { … }.
type Block struct {
	// Name is the block's name: lower case letters, digits and underscores.
	Name string `json:"name"`
	// Required is true when the block must be given.
	Required bool `json:"required,omitempty"`
	// Many is true when the block may be given more than once.
	Many bool `json:"many,omitempty"`
	// Doc is a sentence about the block.
	Doc string `json:"doc,omitempty"`
	// Schema holds the block's own settings; in JSON they stand beside "name".
	Schema
}

// Attribute returns the attribute of a name.
func (s Schema) Attribute(name string) (Attribute, bool) {
	for _, a := range s.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// Block returns the block of a name.
func (s Schema) Block(name string) (Block, bool) {
	for _, b := range s.Blocks {
		if b.Name == name {
			return b, true
		}
	}
	return Block{}, false
}

// Check tells whether a schema keeps the rules stated here: names that HCL can
// hold, no name twice, known types, defaults that can be parsed, no endless
// nesting. The core checks what a plugin sent before it relies on it.
func (s Schema) Check() error { return s.check("", MaxDepth) }

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (s Schema) check(prefix string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("block %q: blocks nest more than %d deep", prefix, MaxDepth)
	}
	seen := map[string]bool{}
	claim := func(name string) error {
		if !validName.MatchString(name) {
			return fmt.Errorf("setting %q: a name has lower case letters, digits and underscores, and begins with a letter", prefix+name)
		}
		if seen[name] {
			return fmt.Errorf("setting %q is described twice", prefix+name)
		}
		seen[name] = true
		return nil
	}
	for _, a := range s.Attributes {
		if err := claim(a.Name); err != nil {
			return err
		}
		if err := a.check(); err != nil {
			return fmt.Errorf("setting %q: %w", prefix+a.Name, err)
		}
	}
	for _, b := range s.Blocks {
		if err := claim(b.Name); err != nil {
			return err
		}
		if err := b.check(prefix+b.Name+".", depth-1); err != nil {
			return err
		}
	}
	return nil
}

func (a Attribute) check() error {
	if !a.Type.known() {
		return fmt.Errorf("unknown type %q", string(a.Type))
	}
	if a.Default == "" {
		return nil
	}
	if a.Required {
		return fmt.Errorf("what is required cannot have a default")
	}
	if _, err := a.Type.parseText(a.Default); err != nil {
		return fmt.Errorf("default %q: %w", a.Default, err)
	}
	return nil
}
