package cloud

import (
	"encoding/csv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/barman-go/barman/sdk"
)

// Tag is a label that the store keeps with an object.
type Tag struct{ Key, Value string }

// Limits of S3, which hold for all providers.
const (
	maxTagKey   = 128
	maxTagValue = 256
	maxTags     = 10
)

// ParseTag reads "key,value". The first comma ends the key. An error is of kind
// Invalid.
func ParseTag(text string) (Tag, error) {
	key, value, found := strings.Cut(text, ",")
	if !found {
		return Tag{}, sdk.Errorf(sdk.Invalid, "tag %q has no value: write KEY,VALUE", text)
	}
	return newTag(key, value)
}

// ParseQuotedTag reads "key,value" in the form of a line of CSV: what has a comma
// or a quote in it stands in double quotes. An error is of kind Invalid.
func ParseQuotedTag(text string) (Tag, error) {
	lines := csv.NewReader(strings.NewReader(text))
	lines.LazyQuotes = true
	all, err := lines.ReadAll()
	if err != nil || len(all) != 1 || len(all[0]) != 2 {
		return Tag{}, sdk.Errorf(sdk.Invalid, "tag %q is not a key and a value: write KEY,VALUE, each in double quotes if there is a comma in it", text)
	}
	return newTag(all[0][0], all[0][1])
}

func newTag(key, value string) (Tag, error) {
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch {
	case key == "", utf8.RuneCountInString(key) > maxTagKey:
		return Tag{}, sdk.Errorf(sdk.Invalid, "tag key %q: it has 1 to %d characters", key, maxTagKey)
	case strings.HasPrefix(strings.ToLower(key), "aws:"):
		return Tag{}, sdk.Errorf(sdk.Invalid, "tag key %q: keys that begin with aws: are reserved", key)
	case utf8.RuneCountInString(value) > maxTagValue:
		return Tag{}, sdk.Errorf(sdk.Invalid, "value of tag %q: it has at most %d characters", key, maxTagValue)
	}
	for _, text := range []string{key, value} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, notInTag) {
			return Tag{}, sdk.Errorf(sdk.Invalid, "tag %q: letters, digits, white space and _.:/=+-@ are allowed", text)
		}
	}
	return Tag{key, value}, nil
}

func notInTag(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r) && !strings.ContainsRune("_.:/=+-@", r)
}

// CheckTags tells what is wrong with the tags of one object. An error is of kind
// Invalid.
func CheckTags(tags []Tag) error {
	if len(tags) > maxTags {
		return sdk.Errorf(sdk.Invalid, "%d tags: an object has at most %d", len(tags), maxTags)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if seen[t.Key] {
			return sdk.Errorf(sdk.Invalid, "tag key %q is given twice", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}
