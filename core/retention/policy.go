package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Policy tells which backups are kept. The zero value is no policy: every
// backup is kept.
type Policy struct {
	// Redundancy is the number of newest backups to keep; 0 when the policy is
	// a window.
	Redundancy int
	// Window is how many units of time back recovery must be possible; 0 when
	// the policy is a redundancy.
	Window int
	// Unit is the unit of Window.
	Unit Unit
}

// Unit is a unit of time.
type Unit int

const (
	// Hours counts hours.
	Hours Unit = iota
	// Days counts periods of 24 hours.
	Days
	// Weeks counts periods of 7 days.
	Weeks
	// Months counts periods of 31 days.
	Months
)

// maxCount keeps a window within what time.Duration holds (292 years).
const maxCount = 3000

func (u Unit) String() string {
	switch u {
	case Hours:
		return "HOURS"
	case Days:
		return "DAYS"
	case Weeks:
		return "WEEKS"
	}
	return "MONTHS"
}

func (u Unit) length() time.Duration {
	const day = 24 * time.Hour
	switch u {
	case Hours:
		return time.Hour
	case Days:
		return day
	case Weeks:
		return 7 * day
	}
	return 31 * day
}

// Parse reads a policy: "REDUNDANCY n" or "RECOVERY WINDOW OF n DAYS", WEEKS
// or MONTHS, in any case, n being 1 or more. Empty text is no policy.
func Parse(text string) (Policy, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 0:
		return Policy{}, nil
	case len(words) == 2 && equal(words[0], "REDUNDANCY"):
		n, err := parseCount(words[1])
		return Policy{Redundancy: n}, err
	case len(words) == 5 && equal(words[0], "RECOVERY") && equal(words[1], "WINDOW") && equal(words[2], "OF"):
		n, err := parseCount(words[3])
		if err != nil {
			return Policy{}, err
		}
		unit, known := parseUnit(words[4])
		if !known || unit == Hours {
			return Policy{}, fmt.Errorf("a recovery window is counted in DAYS, WEEKS or MONTHS, not in %q", words[4])
		}
		return Policy{Window: n, Unit: unit}, nil
	}
	return Policy{}, fmt.Errorf("%q is neither REDUNDANCY n nor RECOVERY WINDOW OF n DAYS, WEEKS or MONTHS", text)
}

// ParseInterval reads a length of time: "n HOURS", DAYS, WEEKS or MONTHS (of 31
// days), in any case, n being 1 or more.
func ParseInterval(text string) (time.Duration, error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return 0, fmt.Errorf("%q is not n HOURS, DAYS, WEEKS or MONTHS", text)
	}
	n, err := parseCount(words[0])
	if err != nil {
		return 0, err
	}
	unit, known := parseUnit(words[1])
	if !known {
		return 0, fmt.Errorf("%q is not n HOURS, DAYS, WEEKS or MONTHS", text)
	}
	return time.Duration(n) * unit.length(), nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || n > maxCount {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", text, maxCount)
	}
	return int(n), nil
}

func parseUnit(word string) (Unit, bool) {
	for _, u := range []Unit{Hours, Days, Weeks, Months} {
		if equal(word, u.String()) || equal(word+"S", u.String()) {
			return u, true
		}
	}
	return 0, false
}

func equal(word, keyword string) bool { return strings.EqualFold(word, keyword) }

// IsZero tells whether there is no policy.
func (p Policy) IsZero() bool { return p == Policy{} }

// Period returns the window as a length of time, 0 when the policy is none. A
// month has 31 days.
func (p Policy) Period() time.Duration { return time.Duration(p.Window) * p.Unit.length() }

// String returns the policy as Parse reads it, empty for none.
func (p Policy) String() string {
	switch {
	case p.Redundancy > 0:
		return fmt.Sprintf("REDUNDANCY %d", p.Redundancy)
	case p.Window > 0:
		return fmt.Sprintf("RECOVERY WINDOW OF %d %s", p.Window, p.Unit)
	}
	return ""
}
