package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// suggest returns the nearest of the known names, or nothing when none is near.
// The distance is the one that HCL's own suggestions allow.
func suggest(given string, known []string) string {
	best, bestDistance := "", 3
	for _, name := range known {
		if d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(name), nil); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// didYouMean is suggest as the end of a sentence.
func didYouMean(given string, known []string) string {
	if name := suggest(given, known); name != "" {
		return fmt.Sprintf(" Did you mean %q?", name)
	}
	return ""
}

// oneOf lists names as alternatives: "a, b or c".
func oneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

func contains(list []string, item string) bool { return slices.Contains(list, item) }
