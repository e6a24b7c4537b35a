package ini

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read reads texts as files named a, b, …
func read(t *testing.T, texts ...string) *Configuration {
	t.Helper()
	var c Configuration
	for i, text := range texts {
		if err := c.Read(string(rune('a'+i)), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return &c
}

// values are the options of a section by name.
func values(c *Configuration, section string) map[string]string {
	all := map[string]string{}
	s := c.Section(section)
	if s == nil {
		return nil
	}
	for _, o := range c.Options(s) {
		all[o.Name] = o.Value
	}
	return all
}

func TestWhatConfigParserReadsIsReadTheSame(t *testing.T) {
	// The expected values are those of ConfigParser(strict=False, interpolation=None).
	for name, tc := range map[string]struct {
		text string
		want map[string]string
	}{
		"separators and case":           {"[s]\nA = 1\nb: 2\nC=x=y\nd:e=f\n", map[string]string{"a": "1", "b": "2", "c": "x=y", "d": "e=f"}},
		"comments are whole lines":      {"# c\n[s]\n; c\na = 1 ; no comment\n  # c\nb = 2 # neither\n", map[string]string{"a": "1 ; no comment", "b": "2 # neither"}},
		"continuation":                  {"[s]\na = 1\n  2\n\t3\nb = 4\n", map[string]string{"a": "1\n2\n3", "b": "4"}},
		"a comment in a continuation":   {"[s]\na = 1\n  # c\n  2\n", map[string]string{"a": "1\n2"}},
		"empty lines within a value":    {"[s]\na = 1\n\n  2\n\n\nb = 3\n", map[string]string{"a": "1\n\n2", "b": "3"}},
		"an empty value that goes on":   {"[s]\na =\n  1\n", map[string]string{"a": "\n1"}},
		"indented options":              {"[s]\n  a = 1\n  b = 2\n    more\n", map[string]string{"a": "1", "b": "2\nmore"}},
		"the last one wins":             {"[s]\na = 1\n[t]\n[s]\nA = 2\nb = 3\n", map[string]string{"a": "2", "b": "3"}},
		"the default section":           {"[DEFAULT]\na = 1\nb = 2\n[s]\nb = 3\n", map[string]string{"a": "1", "b": "3"}},
		"an empty value":                {"[s]\na =\nb = \n", map[string]string{"a": "", "b": ""}},
		"other line ends and no end":    {"[s]\r\na = 1\rb = 2\r\n  3", map[string]string{"a": "1", "b": "2\n3"}},
		"a byte order mark":             {"\ufeff[s]\na = 1\n", map[string]string{"a": "1"}},
		"text after a header":           {"[s] ; and more\na = 1\n", map[string]string{"a": "1"}},
		"a header within a value":       {"[s]\na = 1\n  [t]\n  b = 2\n", map[string]string{"a": "1\n[t]\nb = 2"}},
		"a name with space in it":       {"[s]\nmy option = 1\n", map[string]string{"my option": "1"}},
		"a name that is indented after": {"[s]\n    a = 1\n  b = 2\n", map[string]string{"a": "1", "b": "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(read(t, tc.text), "s")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLaterFilesGoOverEarlierOnes(t *testing.T) {
	c := read(t, "[s]\na = 1\nb = 2\n", "[t]\n[s]\nb = 3\n")
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "3"}, values(c, "s")); diff != "" {
		t.Error(diff)
	}
	if len(c.Sections) != 2 || c.Sections[0].Name != "s" {
		t.Errorf("sections %v", c.Sections)
	}
	if got := c.Section("s").Own("b").Place.String(); got != "b:3" {
		t.Errorf("b is at %s", got)
	}
}

func TestPlacesCoverNameAndValue(t *testing.T) {
	text := "[s]\n  a = 1\n    2\n\n# c\nb = 3\n"
	c := read(t, text)
	for name, want := range map[string]string{"a": "  a = 1\n    2", "b": "b = 3"} {
		p := c.Section("s").Own(name).Place
		if got := text[p.Start:p.End]; got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if p := c.Section("s").Place; text[p.Start:p.End] != "[s]" || p.Line != 1 {
		t.Errorf("the header is at %+v", p)
	}
}

func TestEveryLineThatCannotBeReadIsNamed(t *testing.T) {
	var c Configuration
	err := c.Read("f", []byte("a = 1\n[s]\nhunter2\n= 3\nb = 4\n[]\nc = \xff\n"))
	var mistakes Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	var lines []int
	for _, m := range mistakes {
		lines = append(lines, m.Place.Line)
	}
	if diff := cmp.Diff([]int{1, 3, 4, 6, 7}, lines); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the line is repeated, which may hold a secret")
	}
	if got := values(&c, "s"); got["b"] != "4" {
		t.Errorf("what can be read is %v", got)
	}
}

func TestReferencesAreReplaced(t *testing.T) {
	options := map[string]string{"a": "x", "b": "%(a)s%%", "loop": "%(loop)s", "wide": strings.Repeat("y", 1<<19)}
	lookup := func(name string) (string, bool) { v, ok := options[name]; return v, ok }
	for value, want := range map[string]string{
		"plain":                    "plain",
		"%(a)s/%(A)s":              "x/x",
		"100%% %(b)s":              "100% x%",
		"%%(a)s":                   "%(a)s",
		"%(loop)s":                 "ERROR more than 10 times",
		"%(none)s":                 "ERROR %(none)s refers to",
		"date +%Y":                 "ERROR %%",
		"%(a)d":                    "ERROR %(name)s",
		"%(a":                      "ERROR %(name)s",
		"end %":                    "ERROR %%",
		"%(wide)s%(wide)s%(wide)s": "ERROR longer than",
	} {
		got, err := Interpolate(value, lookup)
		if part, isError := strings.CutPrefix(want, "ERROR "); isError {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q gives %q, %v", value, got, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("[barman]\nbarman_home = /var/lib/barman\n\n[main]\nconninfo: host=pg\n  user=barman\n; comment\n")
	f.Add("[DEFAULT]\na=%(b)s\n[s]\nb = %%\r\n c\r[s]\n=")
	f.Fuzz(func(t *testing.T, text string) {
		var c Configuration
		_ = c.Read("f", []byte(text)) // mistakes are as good as options here
		for _, s := range c.Sections {
			if p := s.Place; text[p.Start:p.End] == "" {
				t.Errorf("section %q has no place", s.Name)
			}
			for _, o := range c.Options(s) {
				if o.Name == "" || o.Name != strings.ToLower(o.Name) {
					t.Errorf("an option is named %q", o.Name)
				}
				if p := o.Place; p.Start >= p.End || p.End > len(text) || p.Line < 1 {
					t.Errorf("%s is at %+v", o.Name, p)
				}
				_, _ = Interpolate(o.Value, func(name string) (string, bool) { // it must only end
					other := c.Option(s, name)
					if other == nil {
						return "", false
					}
					return other.Value, true
				})
			}
		}
	})
}
