package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Digest is a checksum of a stage's name and settings, which is the same as long
// as they are: it tells a running process's settings from those of today. What
// expressions come to counts, and not how they are written. No plugin is asked.
func (s Stage) Digest() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q\n", s.Kind, s.Name)
	if body, ok := s.Body.(*hclsyntax.Body); ok {
		digest(sum, body, s.ctx)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func digest(w io.Writer, body *hclsyntax.Body, ctx *hcl.EvalContext) {
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		v, diags := body.Attributes[name].Expr.Value(ctx)
		// What is wrong with an expression is said by whoever decodes the settings.
		fmt.Fprintf(w, "%q = %#v %t\n", name, v, diags.HasErrors())
	}
	for _, block := range body.Blocks {
		fmt.Fprintf(w, "%q %q {\n", block.Type, block.Labels)
		digest(w, block.Body, ctx)
		fmt.Fprintln(w, "}")
	}
}
