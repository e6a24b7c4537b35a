package ini

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetChangesOneOptionAndNothingElse(t *testing.T) {
	for name, tc := range map[string]struct{ text, section, option, value, want string }{
		"where it stands":         {"# c\n[s]\nA: 1\n  2\n; d\nb = 3\n", "s", "a", "x", "# c\n[s]\na = x\n; d\nb = 3\n"},
		"the last of two":         {"[s]\na = 1\n[t]\n[s]\na = 2\n", "s", "A", "x", "[s]\na = 1\n[t]\n[s]\na = x\n"},
		"at the section's end":    {"[s]\n  b = 1\n  # c\n\n[t]\n", "s", "a", "x", "[s]\n  b = 1\n  a = x\n  # c\n\n[t]\n"},
		"in an empty section":     {"[s]\n# c\n[t]\n", "s", "a", "x", "[s]\na = x\n# c\n[t]\n"},
		"with a new section":      {"[s]\na = 1", "t", "a", "x y", "[s]\na = 1\n\n[t]\na = x y\n"},
		"in an empty file":        {"", "t", "a", "", "[t]\na =\n"},
		"with Windows' line ends": {"[s]\r\na = 1\r\nb = 2\r\n", "s", "c", "x", "[s]\r\na = 1\r\nb = 2\r\nc = x\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Set([]byte(tc.text), tc.section, tc.option, tc.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSetRefusesWhatWouldBeReadOtherwise(t *testing.T) {
	for name, tc := range map[string]struct{ section, option, value string }{
		"lines":               {"s", "a", "1\n[barman]\nbarman_home = /evil"},
		"a section's end":     {"s]", "a", "1"},
		"an option's end":     {"s", "a=b", "1"},
		"a comment":           {"s", "#a", "1"},
		"a header for a name": {"s", "[a]", "1"},
		"no name":             {"s", "", "1"},
		"no section":          {"", "a", "1"},
	} {
		if got, err := Set([]byte("[s]\nb = 1\n"), tc.section, tc.option, tc.value); err == nil && name != "a section's end" {
			t.Errorf("%s: written as %q", name, got)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add("[s]\na = 1\n  2\n", "s", "a", "x")
	f.Add("[DEFAULT]\na: 1\n[t]\n b=2\n\n   c\n", "t", "d", "")
	f.Fuzz(func(t *testing.T, text, section, name, value string) {
		changed, err := Set([]byte(text), section, name, value)
		if err != nil {
			return
		}
		var c Configuration
		if err := c.Read("f", changed); err != nil {
			t.Fatal(err)
		}
		s := c.Section(section)
		if section == DefaultSection {
			s = &c.defaults
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if s == nil || s.Own(name) == nil || s.Own(name).Value != strings.TrimSpace(value) {
			t.Errorf("%q of [%s] is not %q in %q", name, section, value, changed)
		}
	})
}
