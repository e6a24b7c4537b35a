package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Node is an attribute or a block of an effective configuration.
type Node struct {
	// Name is the attribute's or the block's name.
	Name string
	// Label is the block's label; empty for none.
	Label string
	// Value is the attribute's value: string, bool, number, []string or
	// map[string]string. It is nil for a block.
	Value any
	// Source is the file that the value was written in; empty for a default, and
	// for a block.
	Source string
	// Nodes are the contents of a block, in order.
	Nodes []*Node
	// Many is true for a block that may be repeated.
	Many bool
}

// IsBlock tells a block from an attribute.
func (n *Node) IsBlock() bool { return n.Value == nil }

// HCL renders the node as it could stand in a configuration file, apart from
// what is masked.
func (n *Node) HCL() string {
	var b strings.Builder
	n.writeHCL(&b, "")
	return b.String()
}

func (n *Node) writeHCL(b *strings.Builder, indent string) {
	title := n.Name
	if n.Label != "" {
		title += " " + quote(n.Label)
	}
	if len(n.Nodes) == 0 {
		fmt.Fprintf(b, "%s%s {}\n", indent, title)
		return
	}
	fmt.Fprintf(b, "%s%s {\n", indent, title)
	width := 0
	for _, child := range n.Nodes {
		if !child.IsBlock() {
			width = max(width, len(child.Name))
		}
	}
	for i, child := range n.Nodes {
		if !child.IsBlock() {
			fmt.Fprintf(b, "%s  %-*s = %s\n", indent, width, child.Name, literal(child.Value))
			continue
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		child.writeHCL(b, indent+"  ")
	}
	fmt.Fprintf(b, "%s}\n", indent)
}

// literal renders a value in HCL.
func literal(value any) string {
	switch v := value.(type) {
	case string:
		return quote(v)
	case []string:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = quote(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]string:
		items := make([]string, 0, len(v))
		for key, item := range v {
			items = append(items, quote(key)+" = "+quote(item))
		}
		slices.Sort(items)
		return "{ " + strings.Join(items, ", ") + " }"
	}
	return fmt.Sprint(value)
}

// quote renders text as an HCL string, in which "${" and "%{" are special.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(b.String())
}

// MarshalJSON renders the node in HCL's JSON syntax, in order: a block with a
// label is an array of objects keyed by label, a block that may be repeated an
// array, any other an object.
func (n *Node) MarshalJSON() ([]byte, error) {
	if !n.IsBlock() {
		return nil, fmt.Errorf("%s: only a block is a document", n.Name)
	}
	var b bytes.Buffer
	b.WriteByte('{')
	if err := writeGroup(&b, n.Name, []*Node{n}); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (n *Node) writeContents(b *bytes.Buffer) error {
	b.WriteByte('{')
	written := map[string]bool{}
	for _, child := range n.Nodes {
		if written[child.Name] {
			continue
		}
		if len(written) > 0 {
			b.WriteByte(',')
		}
		written[child.Name] = true
		var group []*Node
		for _, other := range n.Nodes {
			if other.Name == child.Name {
				group = append(group, other)
			}
		}
		if err := writeGroup(b, child.Name, group); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// writeGroup writes all nodes of one name.
func writeGroup(b *bytes.Buffer, name string, group []*Node) error {
	if err := writeJSON(b, name); err != nil {
		return err
	}
	b.WriteByte(':')
	first := group[0]
	switch {
	case !first.IsBlock():
		return writeJSON(b, first.Value)
	case first.Label == "" && !first.Many:
		return first.writeContents(b)
	}
	b.WriteByte('[')
	for i, n := range group {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := n.writeLabelled(b); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func (n *Node) writeLabelled(b *bytes.Buffer) error {
	if n.Label == "" {
		return n.writeContents(b)
	}
	b.WriteByte('{')
	if err := writeJSON(b, n.Label); err != nil {
		return err
	}
	b.WriteByte(':')
	if err := n.writeContents(b); err != nil {
		return err
	}
	b.WriteByte('}')
	return nil
}

func writeJSON(b *bytes.Buffer, value any) error {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline that Encode adds
	return nil
}
