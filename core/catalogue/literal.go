package catalogue

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The structured fields of backup.info are Python literals. They are read into
// nil, bool, int64, float64, string, List, Tuple and Dict.
type (
	// List is a Python list.
	List []any
	// Tuple is a Python tuple.
	Tuple []any
	// Dict is a Python dictionary in the order of its text, which is that of
	// insertion, so that rewriting a file changes nothing.
	Dict []DictEntry
	// DictEntry is one key of a Dict; the key is a string or a number.
	DictEntry struct {
		Key   any
		Value any
	}
)

// Get returns the value of a key that is a string.
func (d Dict) Get(key string) (any, bool) {
	for _, e := range d {
		if e.Key == key {
			return e.Value, true
		}
	}
	return nil, false
}

// Float returns a value that is a number.
func (d Dict) Float(key string) (float64, bool) {
	switch v, _ := d.Get(key); v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// Limits of what is read: far above what a real catalogue holds, far below what
// would hurt.
const (
	maxLiteralDepth  = 32
	maxLiteralValues = 1_000_000
)

// parseLiteral reads exactly one literal: strings, numbers, None, True, False,
// lists, tuples and dictionaries, as Python's repr writes them.
func parseLiteral(s string) (any, error) {
	p := &literalParser{text: s}
	v, err := p.value(0)
	if err == nil {
		p.space()
		if p.at < len(p.text) {
			err = p.fail("text behind the value")
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

type literalParser struct {
	text   string
	at     int
	values int
}

func (p *literalParser) fail(format string, args ...any) error {
	return fmt.Errorf("not a valid value: %s at column %d", fmt.Sprintf(format, args...), p.at+1)
}

func (p *literalParser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

func (p *literalParser) accept(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *literalParser) value(depth int) (any, error) {
	if depth > maxLiteralDepth {
		return nil, p.fail("more than %d levels of nesting", maxLiteralDepth)
	}
	if p.values++; p.values > maxLiteralValues {
		return nil, p.fail("more than %d values", maxLiteralValues)
	}
	p.space()
	if p.at == len(p.text) {
		return nil, p.fail("missing value")
	}
	switch c := p.text[p.at]; {
	case c == '[':
		p.at++
		items, _, err := p.items(']', depth)
		return List(items), err
	case c == '(':
		p.at++
		start := p.at
		items, comma, err := p.items(')', depth)
		if err == nil && len(items) == 1 && !comma {
			p.at = start
			return nil, p.fail("a tuple of one needs a comma")
		}
		return Tuple(items), err
	case c == '{':
		p.at++
		return p.dict(depth)
	case c == '\'' || c == '"':
		return p.str()
	case (c == 'u' || c == 'U') && p.at+1 < len(p.text) && (p.text[p.at+1] == '\'' || p.text[p.at+1] == '"'):
		p.at++ // written by Barman on Python 2
		return p.str()
	}
	return p.word()
}

// items reads values up to the closing bracket; comma tells whether the last
// one had a comma behind it.
func (p *literalParser) items(end byte, depth int) (items []any, comma bool, err error) {
	for {
		p.space()
		if p.accept(end) {
			return items, comma, nil
		}
		if len(items) > 0 && !comma {
			return nil, false, p.fail("missing comma or %q", end)
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, false, err
		}
		items = append(items, v)
		p.space()
		comma = p.accept(',')
	}
}

func (p *literalParser) dict(depth int) (Dict, error) {
	d := Dict{}
	seen := map[any]bool{}
	comma := true
	for {
		p.space()
		if p.accept('}') {
			return d, nil
		}
		if !comma {
			return nil, p.fail("missing comma or '}'")
		}
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case string, int64, float64:
		default:
			return nil, p.fail("a key that is neither text nor number")
		}
		if seen[key] {
			return nil, p.fail("the same key again")
		}
		seen[key] = true
		p.space()
		if !p.accept(':') {
			return nil, p.fail("missing ':'")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d = append(d, DictEntry{key, v})
		p.space()
		comma = p.accept(',')
	}
}

// word reads None, True, False or a number.
func (p *literalParser) word() (any, error) {
	start := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t,:)]}([{'\"", rune(p.text[p.at])) {
		p.at++
	}
	w := p.text[start:p.at]
	switch w {
	case "None":
		return nil, nil
	case "True":
		return true, nil
	case "False":
		return false, nil
	}
	v, ok := parseNumber(w)
	if !ok {
		p.at = start
		return nil, p.fail("%q is no value", clip(w))
	}
	return v, nil
}

// parseNumber reads decimal numbers; Go's parser alone would also take
// hexadecimal ones, underscores, Inf and NaN.
func parseNumber(w string) (any, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(w, "-"), "+")
	if digits == "" || len(w)-len(digits) > 1 || strings.Trim(w, "0123456789+-.eE") != "" || strings.ContainsAny(digits[:1], "+-eE") {
		return nil, false
	}
	if strings.Trim(digits, "0123456789") == "" {
		i, err := strconv.ParseInt(w, 10, 64)
		return i, err == nil
	}
	f, err := strconv.ParseFloat(w, 64)
	return f, err == nil
}

// str reads a string in single or double quotes with Python's escapes.
// Python's surrogate escapes \udc80 to \udcff stand for bytes that are not
// UTF-8, and become those bytes.
func (p *literalParser) str() (string, error) {
	quote := p.text[p.at]
	p.at++
	var out strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == quote:
			return out.String(), nil
		case c == '\\':
			if err := p.escape(&out); err != nil {
				return "", err
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", p.fail("string without end")
}

func (p *literalParser) escape(out *strings.Builder) error {
	if p.at == len(p.text) {
		return p.fail("string without end")
	}
	c := p.text[p.at]
	p.at++
	if i := strings.IndexByte(`\'"abfnrtv`, c); i >= 0 {
		out.WriteByte("\\'\"\a\b\f\n\r\t\v"[i])
		return nil
	}
	switch c {
	case 'x':
		return p.codePoint(out, 2)
	case 'u':
		return p.codePoint(out, 4)
	case 'U':
		return p.codePoint(out, 8)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := rune(c - '0')
		for n := 1; n < 3 && p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '7'; n++ {
			v = v*8 + rune(p.text[p.at]-'0')
			p.at++
		}
		out.WriteRune(v)
		return nil
	}
	return p.fail("unknown escape \\%c", c)
}

func (p *literalParser) codePoint(out *strings.Builder, digits int) error {
	if p.at+digits > len(p.text) {
		return p.fail("string without end")
	}
	v, err := strconv.ParseUint(p.text[p.at:p.at+digits], 16, 32)
	switch {
	case err != nil:
		return p.fail("bad escape")
	case v >= 0xdc80 && v <= 0xdcff:
		out.WriteByte(byte(v))
	case v > utf8.MaxRune || !utf8.ValidRune(rune(v)):
		return p.fail("escape of a character that does not exist")
	default:
		out.WriteRune(rune(v))
	}
	p.at += digits
	return nil
}
