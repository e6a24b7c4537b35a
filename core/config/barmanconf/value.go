package barmanconf

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/barman-go/barman/core/ini"
	"github.com/barman-go/barman/core/retention"
)

// value is what an option comes to.
type value struct {
	// set is false when nothing gives a value, or when it is explicitly none.
	set bool
	// text is the value as text: of a number its digits, of a choice the choice, of a
	// set its members with commas between them.
	text string
	// number is that of a number, or of a size in bytes.
	number int64
	truth  bool
	// place is where the value was written; zero for a default.
	place ini.Place
	// own is true when the section itself says so, and not [barman].
	own bool
}

// values are those of all options of a server, a model, or [barman].
type values map[string]value

func (v values) text(name string) string { return v[name].text }
func (v values) truth(name string) bool  { return v[name].truth }

// has tells whether a set holds a member.
func (v values) has(name, member string) bool {
	return slices.Contains(strings.Split(v[name].text, ","), member)
}

// given tells whether an option was written, be it in [barman].
func (v values) given(name string) bool { return v[name].set && v[name].place != (ini.Place{}) }

// unquoted removes one pair of quotes around the whole of a value.
func unquoted(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

// mayBeNone tells whether an option of the kind can be said to be nothing, which
// keeps [barman] and the default from applying.
func (k kind) mayBeNone() bool {
	switch k {
	case text, interval, size, set, codecName, level:
		return true
	}
	return false
}

// parse makes a value of text. Its error says what was expected and does not
// repeat the text.
func (o option) parse(raw string) (value, error) {
	if raw == "None" {
		raw = ""
	}
	if raw == "" && o.kind.mayBeNone() {
		return value{}, nil
	}
	v := value{set: true, text: raw}
	var err error
	switch o.kind {
	case truth:
		v.truth, err = parseTruth(raw)
		v.text = map[bool]string{true: "True", false: "False"}[v.truth]
	case number:
		v.number, err = parseNumber(raw)
		v.text = strconv.FormatInt(v.number, 10)
	case interval:
		v.text, err = parseInterval(raw)
	case size:
		v.number, err = parseSize(raw)
		v.text = strconv.FormatInt(v.number, 10)
	case choice, codecName:
		v.text = strings.ToLower(raw)
		err = o.isChoice(v.text)
	case exact:
		err = o.isChoice(raw)
	case set:
		return o.parseSet(raw)
	case slotName:
		v.text = strings.ToLower(raw)
		if !slotNames.MatchString(v.text) {
			err = fmt.Errorf("has lower case letters, digits and underscores")
		}
	case directory:
		if !filepath.IsAbs(raw) {
			err = fmt.Errorf("must be an absolute path")
		}
	case level:
		v.text, err = parseLevel(raw)
	}
	return v, err
}

func (o option) isChoice(text string) error {
	if !slices.Contains(o.choices, text) {
		return fmt.Errorf("must be one of %s", strings.Join(o.choices, ", "))
	}
	return nil
}

func (o option) parseSet(raw string) (value, error) {
	var members []string
	for item := range strings.SplitSeq(strings.ToLower(raw), ",") {
		if item = strings.TrimSpace(item); item == "" || item == "none" {
			continue
		}
		if err := o.isChoice(item); err != nil {
			return value{}, err
		}
		members = append(members, item)
	}
	if slices.Contains(members, "exclusive_backup") && slices.Contains(members, "concurrent_backup") {
		return value{}, fmt.Errorf("cannot hold both exclusive_backup and concurrent_backup")
	}
	slices.Sort(members)
	return value{set: len(members) > 0, text: strings.Join(slices.Compact(members), ",")}, nil
}

var (
	slotNames    = regexp.MustCompile(`^[a-z0-9_]+$`)
	wholeNumber  = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)
	intervalText = regexp.MustCompile(`(?i)^([0-9]+)\s+(hour|day|week|month)s?$`)
	sizeText     = regexp.MustCompile(`^([0-9]+)\s*(k|Ki|Mi?|Gi?|Ti?)?$`)
)

func parseTruth(raw string) (bool, error) {
	switch strings.ToLower(raw) {
	case "true", "t", "yes", "1", "on":
		return true, nil
	case "false", "f", "no", "0", "off":
		return false, nil
	}
	return false, fmt.Errorf("must be true or false")
}

func parseNumber(raw string) (int64, error) {
	raw = strings.TrimSpace(raw)
	if wholeNumber.MatchString(raw) {
		if n, err := strconv.ParseInt(strings.ReplaceAll(raw, "_", ""), 10, 64); err == nil && n >= math.MinInt32 && n <= math.MaxInt32 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("must be a whole number")
}

func parseInterval(raw string) (string, error) {
	if m := intervalText.FindStringSubmatch(strings.TrimSpace(raw)); m != nil {
		canonical := m[1] + " " + strings.ToUpper(m[2]) + "S"
		if _, err := retention.ParseInterval(canonical); err == nil {
			return canonical, nil
		}
	}
	return "", fmt.Errorf("must be a number of HOURS, DAYS, WEEKS or MONTHS")
}

func parseSize(raw string) (int64, error) {
	m := sizeText.FindStringSubmatch(strings.TrimSpace(raw))
	if m == nil {
		return 0, fmt.Errorf("must be a number of bytes, with k, Ki, M, Mi, G, Gi, T or Ti behind it for more")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("is too large")
	}
	if m[2] == "" {
		return n, nil
	}
	base := int64(1000)
	if strings.HasSuffix(m[2], "i") {
		base = 1024
	}
	for range 1 + strings.IndexByte("KMGT", strings.ToUpper(m[2])[0]) {
		if n > math.MaxInt64/base {
			return 0, fmt.Errorf("is too large")
		}
		n *= base
	}
	return n, nil
}

func parseLevel(raw string) (string, error) {
	switch low := strings.ToLower(raw); low {
	case "low", "medium", "high":
		return low, nil
	}
	n, err := parseNumber(raw)
	if err != nil {
		return "", fmt.Errorf("must be a whole number, low, medium or high")
	}
	return strconv.FormatInt(n, 10), nil
}
