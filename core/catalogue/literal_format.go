package catalogue

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// formatLiteral writes a value as Python's repr does, so that a file that was
// read and written again is the same byte for byte.
func formatLiteral(v any) (string, error) {
	var out strings.Builder
	if err := writeLiteral(&out, v, 0); err != nil {
		return "", err
	}
	return out.String(), nil
}

func writeLiteral(out *strings.Builder, v any, depth int) error {
	if depth > maxLiteralDepth {
		return fmt.Errorf("more than %d levels of nesting", maxLiteralDepth)
	}
	switch v := v.(type) {
	case nil:
		out.WriteString("None")
	case bool:
		if v {
			out.WriteString("True")
		} else {
			out.WriteString("False")
		}
	case int:
		out.WriteString(strconv.Itoa(v))
	case int64:
		out.WriteString(strconv.FormatInt(v, 10))
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return fmt.Errorf("%v cannot be stored", v)
		}
		out.WriteString(formatFloat(v))
	case string:
		writeString(out, v)
	case List:
		return writeItems(out, "[", v, "]", depth)
	case Tuple:
		end := ")"
		if len(v) == 1 {
			end = ",)"
		}
		return writeItems(out, "(", v, end, depth)
	case Dict:
		return writeDict(out, v, depth)
	default:
		return fmt.Errorf("a %T cannot be stored", v)
	}
	return nil
}

func writeItems(out *strings.Builder, begin string, items []any, end string, depth int) error {
	out.WriteString(begin)
	for i, item := range items {
		if i > 0 {
			out.WriteString(", ")
		}
		if err := writeLiteral(out, item, depth+1); err != nil {
			return err
		}
	}
	out.WriteString(end)
	return nil
}

func writeDict(out *strings.Builder, d Dict, depth int) error {
	out.WriteString("{")
	for i, e := range d {
		if i > 0 {
			out.WriteString(", ")
		}
		if err := writeLiteral(out, e.Key, depth+1); err != nil {
			return err
		}
		out.WriteString(": ")
		if err := writeLiteral(out, e.Value, depth+1); err != nil {
			return err
		}
	}
	out.WriteString("}")
	return nil
}

// formatFloat writes the shortest text that reads as the same number, with an
// exponent where Python has one.
func formatFloat(f float64) string {
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	if e, err := strconv.Atoi(exponent); err == nil && e >= -4 && e < 16 {
		plain := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(plain, ".") {
			plain += ".0"
		}
		return plain
	}
	return scientific
}

// Seconds is a time as Python prints that of a file: seconds since 1970.
func Seconds(t time.Time) string { return formatFloat(secondsOf(t)) }

func writeString(out *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	out.WriteByte(quote)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(out, `\udc%02x`, s[i]) // Python's surrogate escape for a byte that is not UTF-8
		case r == '\\' || r == rune(quote):
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			fmt.Fprintf(out, `\U%08x`, r)
		}
		i += size
	}
	out.WriteByte(quote)
}
