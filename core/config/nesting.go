package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parser and the evaluator of HCL are recursive and a Go stack that is
// exhausted cannot be recovered from, so what they would recurse on is counted
// in the tokens first.
const (
	// maxNesting bounds brackets within brackets.
	maxNesting = 200
	// maxOperators bounds the operators of one expression.
	maxOperators = 5000
	// harmless is how many brackets and operators a file may have, in all,
	// without being looked at: were all of them nested, the stack would still
	// hold. A level takes a few kilobytes of the gigabyte.
	harmless = 20000
)

// tooComplex reports the place from which a file could exhaust the stack.
func tooComplex(path string, src []byte) *hcl.Diagnostic {
	if countSpecial(src) <= harmless {
		return nil
	}
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // the parser reports the same mistakes
	operators := 0
	var open []hclsyntax.TokenType
	for _, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl,
			hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			open = append(open, token.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc:
			open = open[:max(0, len(open)-1)]
		}
		switch token.Type {
		case hclsyntax.TokenNewline:
			// Within parentheses and templates an expression goes on.
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComma,
			hclsyntax.TokenComment, hclsyntax.TokenEqual, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote:
		default:
			operators++
		}
		if len(open) > maxNesting {
			return mistake(token.Range, "Too much nesting", fmt.Sprintf("Brackets nest more than %d deep here.", maxNesting))
		}
		if operators > maxOperators {
			return mistake(token.Range, "Expression too long", fmt.Sprintf("An expression has more than %d operators here.", maxOperators))
		}
	}
	return nil
}

// countSpecial counts the bytes that begin brackets and operators.
func countSpecial(src []byte) int {
	var special [256]bool
	for _, c := range []byte("{[(!-+*/%?:.<>=&|$~\"") {
		special[c] = true
	}
	n := 0
	for _, c := range src {
		if special[c] {
			n++
		}
	}
	return n
}
