package ini

import (
	"errors"
	"fmt"
	"strings"
)

// maxDepth is how deep references may lead; ConfigParser's is the same. maxValue
// and maxReferences bound what they may add up to: ten levels of a few references
// each are enough to fill any memory.
const (
	maxDepth      = 10
	maxValue      = 1 << 20
	maxReferences = 10_000
)

// Interpolate replaces the references of a value: "%(name)s" by what lookup
// returns for the name, whose own references are replaced too, and "%%" by a per
// cent sign. A reference to nothing, a reference that leads back to itself, and a
// per cent sign that is followed by something else, are errors.
func Interpolate(value string, lookup func(name string) (string, bool)) (string, error) {
	i := interpolation{lookup: lookup}
	if err := i.expand(value, 1); err != nil {
		return "", err
	}
	return i.text.String(), nil
}

type interpolation struct {
	lookup     func(string) (string, bool)
	text       strings.Builder
	references int
}

func (i *interpolation) expand(value string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("references lead from option to option more than %d times", maxDepth)
	}
	for {
		before, rest, found := strings.Cut(value, "%")
		i.text.WriteString(before)
		if i.text.Len() > maxValue {
			return fmt.Errorf("with its references it is longer than %d bytes", maxValue)
		}
		switch {
		case !found:
			return nil
		case strings.HasPrefix(rest, "%"):
			i.text.WriteByte('%')
			value = rest[1:]
		case strings.HasPrefix(rest, "("):
			name, after, closed := strings.Cut(rest[1:], ")")
			after, complete := strings.CutPrefix(after, "s")
			if !closed || !complete || name == "" {
				return errors.New(`a reference is written "%(name)s"`)
			}
			name = strings.ToLower(name)
			if i.references++; i.references > maxReferences {
				return fmt.Errorf("it has more than %d references in all", maxReferences)
			}
			referred, known := i.lookup(name)
			if !known {
				return fmt.Errorf("%%(%s)s refers to an option that is not set", name)
			}
			if !strings.Contains(referred, "%") {
				i.text.WriteString(referred)
			} else if err := i.expand(referred, depth+1); err != nil {
				return err
			}
			value = after
		default:
			return errors.New(`"%" begins a reference, as in "%(name)s"; a per cent sign by itself is written "%%"`)
		}
	}
}
