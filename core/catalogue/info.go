package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxInfoSize bounds backup.info. Real ones have a few kilobytes; a thousand
// tablespaces make a few hundred.
const maxInfoSize = 16 << 20

// lineError is a mistake in a line of a text file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// parseInfo reads the content of backup.info: lines of key=value in any order.
// Blank lines and those that begin with # are comments, a missing key keeps its
// default, of a key given twice the last counts. An unknown key is an error: it
// may change the meaning of the others.
func parseInfo(content []byte) (*Backup, error) {
	lines, err := splitInfo(content)
	if err != nil {
		return nil, err
	}
	b := &Backup{State: StateEmpty, present: map[string]bool{}}
	for _, f := range infoFields() {
		line, found := lines[f.key]
		if !found {
			continue
		}
		delete(lines, f.key)
		b.present[f.key] = true
		if line.value == nullText {
			continue
		}
		if err := f.parse(b, line.value); err != nil {
			return nil, &lineError{line.number, fmt.Errorf("%s: %w", f.key, err)}
		}
	}
	if err := firstUnknown(lines); err != nil {
		return nil, err
	}
	b.SegmentSize = b.segmentSize()
	return b, nil
}

// firstUnknown reports what is left when all fields are taken.
func firstUnknown(lines map[string]infoLine) error {
	if len(lines) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(lines), func(a, b string) int { return lines[a].number - lines[b].number })
	return &lineError{lines[keys[0]].number, &unknownFieldError{keys[0]}}
}

// unknownFieldError tells of a field that no release has that this program knows.
type unknownFieldError struct{ field string }

func (e *unknownFieldError) Error() string {
	return fmt.Sprintf("unknown field %q: a newer version of Barman wrote it, or the file is damaged", clip(e.field))
}

type infoLine struct {
	number int
	value  string
}

func splitInfo(content []byte) (map[string]infoLine, error) {
	// Many more keys than there are fields cannot be right and would cost memory.
	const maxKeys = 1000
	const usual = 64
	lines := make(map[string]infoLine, usual)
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if strings.ContainsAny(text, "\r\x00") || !utf8.ValidString(text) {
			return nil, &lineError{number, fmt.Errorf("%q is not text", clip(text))}
		}
		key, value, found := strings.Cut(text, "=")
		if !found {
			return nil, &lineError{number, fmt.Errorf("%q is not of the form key=value", clip(text))}
		}
		lines[strings.TrimSpace(key)] = infoLine{number, strings.TrimSpace(value)}
		if len(lines) > maxKeys {
			return nil, &lineError{number, fmt.Errorf("more than %d different fields", maxKeys)}
		}
	}
	if len(lines) == 0 {
		return nil, &lineError{max(number, 1), errors.New("the file holds no field")}
	}
	return lines, nil
}

// formatInfo renders a backup as the content of backup.info.
func formatInfo(b *Backup) ([]byte, error) {
	var out bytes.Buffer
	for _, f := range infoFields() {
		value, err := f.format(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
		if value == nullText && f.optional && !b.present[f.key] {
			continue
		}
		fmt.Fprintf(&out, "%s=%s\n", f.key, value)
	}
	return out.Bytes(), nil
}
