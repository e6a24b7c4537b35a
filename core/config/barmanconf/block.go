package barmanconf

import (
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Block is a block of HCL that says what a barman.conf says. Its places, and those
// of what is in it, are in the barman.conf.
type Block struct {
	// Type and Labels are the block's header.
	Type   string
	Labels []string
	// Comments stand before it, a line each.
	Comments []string
	// Range is where the barman.conf says so.
	Range hcl.Range

	attributes []attribute
	blocks     []*Block
	off        bool // to be written as a comment
}

// attribute is a setting.
type attribute struct {
	name  string
	value cty.Value
	where hcl.Range
}

// set adds an attribute that comes from an option.
func (b *Block) set(name string, from value, to cty.Value) {
	b.attributes = append(b.attributes, attribute{name: name, value: to, where: rangeOf(from.place)})
}

func (b *Block) setText(name string, from value)   { b.set(name, from, cty.StringVal(from.text)) }
func (b *Block) setNumber(name string, from value) { b.set(name, from, cty.NumberIntVal(from.number)) }
func (b *Block) setTruth(name string, from value)  { b.set(name, from, cty.BoolVal(from.truth)) }

// add adds a block, unless it is nil or there is nothing in one that says nothing
// by being there.
func (b *Block) add(inner *Block) {
	if inner == nil || len(inner.Labels)+len(inner.attributes)+len(inner.blocks)+len(inner.Comments) == 0 {
		return
	}
	b.blocks = append(b.blocks, inner)
}

// body returns what is in the block as the parser of HCL would.
func (b *Block) body() *hclsyntax.Body {
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: b.Range, EndRange: b.Range}
	for _, a := range b.attributes {
		body.Attributes[a.name] = &hclsyntax.Attribute{
			Name: a.name, Expr: &hclsyntax.LiteralValueExpr{Val: a.value, SrcRange: a.where},
			SrcRange: a.where, NameRange: a.where, EqualsRange: a.where,
		}
	}
	for _, inner := range b.blocks {
		body.Blocks = append(body.Blocks, inner.syntax())
	}
	return body
}

func (b *Block) syntax() *hclsyntax.Block {
	s := &hclsyntax.Block{
		Type: b.Type, Labels: b.Labels, Body: b.body(),
		TypeRange: b.Range, OpenBraceRange: b.Range, CloseBraceRange: b.Range,
	}
	for range b.Labels {
		s.LabelRanges = append(s.LabelRanges, b.Range)
	}
	return s
}

// Body returns the blocks as the parser of HCL would, with their places in the
// barman.conf.
func (d *Document) Body() hcl.Body {
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}}
	for _, b := range d.Blocks {
		body.Blocks = append(body.Blocks, b.syntax())
	}
	return body
}

// HCL writes the blocks as a file.
func (d *Document) HCL() []byte {
	file := hclwrite.NewEmptyFile()
	comment(file.Body(), d.Comments)
	for i, b := range d.Blocks {
		if i > 0 || len(d.Comments) > 0 {
			file.Body().AppendNewline()
		}
		b.write(file.Body())
	}
	return emptyBlock.ReplaceAll(hclwrite.Format(file.Bytes()), []byte("{}"))
}

// emptyBlock is a block without content as hclwrite writes it. Within quotes a
// newline is written otherwise.
var emptyBlock = regexp.MustCompile(`\{\n\s*\}`)

func (b *Block) write(to *hclwrite.Body) {
	comment(to, b.Comments)
	if b.off {
		b.writeOff(to)
		return
	}
	body := to.AppendNewBlock(b.Type, b.Labels).Body()
	for _, a := range b.attributes {
		body.SetAttributeValue(a.name, a.value)
	}
	for i, inner := range b.blocks {
		if i > 0 || len(b.attributes) > 0 {
			body.AppendNewline()
		}
		inner.write(body)
	}
}

// writeOff writes the block as comments.
func (b *Block) writeOff(to *hclwrite.Body) {
	shown := *b
	shown.off, shown.Comments = false, nil
	file := hclwrite.NewEmptyFile()
	shown.write(file.Body())
	for line := range strings.Lines(string(emptyBlock.ReplaceAll(hclwrite.Format(file.Bytes()), []byte("{}")))) {
		commentLine(to, strings.TrimRight(line, "\n"))
	}
}

func comment(to *hclwrite.Body, lines []string) {
	for _, line := range lines {
		commentLine(to, strings.Join(strings.Fields(line), " "))
	}
}

func commentLine(to *hclwrite.Body, line string) {
	line = strings.TrimRight("# "+line, " ") + "\n"
	to.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte(line)}})
}
