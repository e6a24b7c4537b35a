package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// mistake makes an error diagnostic.
func mistake(where hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &where}
}

// warning makes a warning diagnostic.
func warning(where hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &where}
}

func duplicateBlock(what string, second, first hcl.Range) *hcl.Diagnostic {
	return mistake(second, "Duplicate block", fmt.Sprintf("There is already a block %s at %s.", what, position(first)))
}

// position renders the beginning of a range as file:line:column.
func position(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// tidy sorts diagnostics by place and drops repetitions: the defaults block is
// read once for every server and would tell of its mistakes as often.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct{ position, summary, detail string }
	seen := map[key]bool{}
	kept := slices.DeleteFunc(slices.Clone(diags), func(d *hcl.Diagnostic) bool {
		k := key{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.position = position(*d.Subject)
		}
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
	slices.SortStableFunc(kept, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return cmp.Compare(bit(a.Subject != nil), bit(b.Subject != nil))
		}
		return cmp.Or(cmp.Compare(a.Subject.Filename, b.Subject.Filename), cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
			cmp.Compare(a.Summary, b.Summary), cmp.Compare(a.Detail, b.Detail))
	})
	return kept
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// split parts errors from warnings.
func split(diags hcl.Diagnostics) (errs, warnings hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errs = append(errs, d)
		} else {
			warnings = append(warnings, d)
		}
	}
	return errs, warnings
}
