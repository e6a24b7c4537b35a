package bucket

import (
	"path"
	"strings"
)

// Tags are labels that a store keeps with objects.
type Tags struct {
	// Objects are those of all objects, History those of timeline history files in
	// their place; when History is empty they get Objects too.
	Objects, History map[string]string
}

// Of returns the tags of the object with a key.
func (t Tags) Of(key string) map[string]string {
	// "00000002.history", perhaps with the suffix of a codec.
	name, rest, _ := strings.Cut(path.Base(key), ".")
	if len(t.History) > 0 && len(name) == 8 && (rest == "history" || strings.HasPrefix(rest, "history.")) {
		return t.History
	}
	return t.Objects
}
