package schema

import (
	"fmt"
	"strings"
)

// Markdown returns the schema as a table for reference documents. The settings
// of a block are named block.setting.
func Markdown(s Schema) string {
	if len(s.Attributes)+len(s.Blocks) == 0 {
		return "No settings.\n"
	}
	var b strings.Builder
	b.WriteString("| Setting | Type | Default | Meaning |\n|---|---|---|---|\n")
	s.writeRows(&b, "")
	return b.String()
}

func (s Schema) writeRows(b *strings.Builder, prefix string) {
	for _, a := range s.Attributes {
		fallback := ""
		switch {
		case a.Required:
			fallback = "required"
		case a.Default != "":
			fallback = "`" + cell(a.Default) + "`"
		}
		kind := string(a.Type)
		if a.Sensitive {
			kind += ", secret"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+a.Name, kind, fallback, cell(a.Doc))
	}
	for _, block := range s.Blocks {
		kind, fallback := "block", ""
		if block.Many {
			kind = "blocks"
		}
		if block.Required {
			fallback = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+block.Name, kind, fallback, cell(block.Doc))
		block.writeRows(b, prefix+block.Name+".")
	}
}

// cell keeps text from breaking out of its cell.
func cell(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "|", `\|`)), " ")
}
