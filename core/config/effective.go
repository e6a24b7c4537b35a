package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/sdk/schema"
)

// SchemaOf returns the schema of a plugin.
type SchemaOf func(kind, name string) (schema.Schema, error)

// Effective returns what holds for a server, as a block "server": the settings
// that were written, inherited or left to their defaults, those of plugins
// included. Sensitive settings and the passwords of connection strings are
// masked. Settings with neither value nor default are left out.
//
// A stage whose plugin cannot be asked, or whose settings are wrong, is a
// diagnostic; the rest of the tree is there nevertheless.
func Effective(server *Server, schemaOf SchemaOf) (*Node, hcl.Diagnostics) {
	e := &effective{schemaOf: schemaOf}
	shown := server.blocks
	shown.Server.Conninfo = MaskConninfo(server.Conninfo)
	shown.Server.StreamingConninfo = MaskConninfo(server.StreamingConninfo)
	shown.Server.WALConninfo = MaskConninfo(server.WALConninfo)
	shown.Server.WALStreamingConninfo = MaskConninfo(server.WALStreamingConninfo)
	shown.Server.PrimaryConninfo = MaskConninfo(server.PrimaryConninfo)

	read := server.read
	root := &Node{Name: "server", Label: server.Name, Nodes: attributes(shown.Server, read.server)}
	backup := &Node{Name: "backup", Nodes: attributes(shown.Backup, read.backup.settings)}
	e.pipeline(backup, &server.Backup.Source, server.Backup.Transforms, server.Backup.Sinks)
	wal := &Node{Name: "wal", Nodes: attributes(shown.WAL, read.wal.settings)}
	e.pipeline(wal, server.WAL.Source, server.WAL.Transforms, server.WAL.Sinks)
	root.Nodes = append(root.Nodes, backup, wal,
		&Node{Name: "retention", Nodes: attributes(shown.Retention, read.retention)},
		&Node{Name: "recovery", Nodes: attributes(shown.Recovery, read.recovery)})
	for _, hook := range server.Hooks {
		own := attributes(hookBlock{Plugin: hook.Stage.Name, Retry: hook.Retry}, hook.Stage)
		root.Nodes = append(root.Nodes, e.stage(hook.Stage, hook.Event, own))
	}
	return root, tidy(e.diags)
}

// Effective returns what holds for the program as a whole, as a block "barman".
func (c *Config) Effective() *Node {
	return &Node{Name: "barman", Nodes: attributes(barmanBlock(c.Global), c.global)}
}

type effective struct {
	schemaOf SchemaOf
	diags    hcl.Diagnostics
}

func (e *effective) pipeline(to *Node, source *Stage, transforms, sinks []Stage) {
	if source != nil {
		to.Nodes = append(to.Nodes, e.stage(*source, source.Name, nil))
	}
	for _, s := range transforms {
		to.Nodes = append(to.Nodes, e.stage(s, s.Name, nil))
	}
	for _, s := range sinks {
		to.Nodes = append(to.Nodes, e.stage(s, s.Name, attributes(sinkBlock{Required: s.Required}, s)))
	}
}

// stage shows a stage: the core's own settings, then the plugin's.
func (e *effective) stage(s Stage, label string, own []*Node) *Node {
	node := &Node{Name: s.Kind, Label: label, Nodes: own}
	described, err := e.schemaOf(s.Kind, s.Name)
	if err != nil {
		e.diags = append(e.diags, mistake(s.DefRange, "Plugin not available", fmt.Sprintf("%s: %v.", s, err)))
		return node
	}
	read, diags := s.read(described)
	e.diags = append(e.diags, diags...)
	if read == nil {
		return node
	}
	for _, n := range read.nodes() {
		if !isReserved(s, n.Name) {
			node.Nodes = append(node.Nodes, n)
		}
	}
	return node
}

func isReserved(s Stage, name string) bool { return contains(s.reserved(), name) }

// nodes shows settings in the order of their schema, defaults included.
func (s *settings) nodes() []*Node {
	var nodes []*Node
	for _, a := range s.schema.Attributes {
		v, given := s.attributes[a.Name]
		switch {
		case given && v.broken, !given && a.Default == "":
			continue
		case a.Sensitive:
			nodes = append(nodes, &Node{Name: a.Name, Value: schema.Secret("").String(), Source: v.whole.Filename})
		case given:
			nodes = append(nodes, &Node{Name: a.Name, Value: shown(a.Type, v.raw), Source: v.whole.Filename})
		default:
			nodes = append(nodes, &Node{Name: a.Name, Value: shown(a.Type, defaultJSON(a))})
		}
	}
	for _, described := range s.schema.Blocks {
		for _, nested := range s.blocks[described.Name] {
			nodes = append(nodes, &Node{Name: described.Name, Many: described.Many, Nodes: nested.nodes()})
		}
	}
	return nodes
}

// defaultJSON returns a default, which Schema.Check has parsed, as JSON.
func defaultJSON(a schema.Attribute) json.RawMessage {
	switch a.Type {
	case schema.String, schema.Duration, schema.Size:
		return json.RawMessage(quoteJSON(a.Default))
	}
	return json.RawMessage(a.Default)
}

func quoteJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // no string does this
	}
	return string(quoted)
}

// shown returns a value as a Node holds it.
func shown(t schema.Type, raw json.RawMessage) any {
	switch t {
	case schema.List:
		return decoded[[]string](raw)
	case schema.Map:
		return decoded[map[string]string](raw)
	case schema.Int, schema.Number:
		return json.Number(strings.TrimSpace(string(raw)))
	case schema.Size:
		var size schema.ByteSize
		if json.Unmarshal(raw, &size) == nil {
			return size.String()
		}
	}
	return decoded[any](raw)
}

func decoded[T any](raw json.RawMessage) any {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	return v
}

// written tells where settings were written.
type written interface {
	// source is the file that a setting was written in; empty when it was not.
	source(name string) string
}

// attributes shows the fields of one of the core's structs; what is empty is
// left out.
func attributes(block any, places written) []*Node {
	var nodes []*Node
	v := reflect.ValueOf(block)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("hcl"), ",")
		var value any
		switch field := v.Field(i).Interface().(type) {
		case time.Duration:
			value = short(field)
		case schema.ByteSize:
			if field != 0 {
				value = field.String()
			}
		case *schema.ByteSize:
			if field != nil {
				value = field.String()
			}
		case string:
			if field != "" {
				value = field
			}
		case *bool:
			if field != nil {
				value = *field
			}
		case []string:
			if len(field) > 0 {
				value = field
			}
		default:
			value = field
		}
		if value != nil {
			nodes = append(nodes, &Node{Name: name, Value: value, Source: places.source(name)})
		}
	}
	return nodes
}

// short renders a duration without the zeros at its end.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
