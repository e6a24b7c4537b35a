package ini

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// DefaultSection is the section whose options hold in all the others.
const DefaultSection = "DEFAULT"

// Place is where something is written.
type Place struct {
	// File is the file's name.
	File string
	// Line counts from 1.
	Line int
	// Start and End are the offsets of the first byte and of the one after the
	// last, line ends at the end not included.
	Start, End int
}

// String renders the place as file:line.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Option is a name with a value.
type Option struct {
	// Name is in lower case.
	Name string
	// Value is as it is written, without space at its ends; its lines are joined by
	// newlines. References to other options stand in it as they are.
	Value string
	// Place is the whole of name and value.
	Place Place
}

// Section is a named list of options.
type Section struct {
	// Name is as it is written.
	Name string
	// Place is the first header of the section.
	Place Place
	// Options are its own, in the order in which they first came.
	Options []*Option
}

// Own returns an option that the section itself has.
func (s *Section) Own(name string) *Option {
	i := slices.IndexFunc(s.Options, func(o *Option) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return s.Options[i]
}

func (s *Section) set(o *Option) {
	i := slices.IndexFunc(s.Options, func(known *Option) bool { return known.Name == o.Name })
	if i < 0 {
		s.Options = append(s.Options, o)
		return
	}
	s.Options[i] = o
}

// Configuration is what one or several files say together. Its zero value is
// empty.
type Configuration struct {
	// Sections are in the order in which they first came, without DEFAULT.
	Sections []*Section
	defaults Section
}

// Section returns the section of a name, or nil.
func (c *Configuration) Section(name string) *Section {
	i := slices.IndexFunc(c.Sections, func(s *Section) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return c.Sections[i]
}

// Options returns what holds in a section: its own options, then those of DEFAULT
// that it does not have.
func (c *Configuration) Options(s *Section) []*Option {
	all := slices.Clone(s.Options)
	for _, o := range c.defaults.Options {
		if s.Own(o.Name) == nil {
			all = append(all, o)
		}
	}
	return all
}

// Option returns an option of a section, or of DEFAULT, or nil.
func (c *Configuration) Option(s *Section, name string) *Option {
	if o := s.Own(name); o != nil {
		return o
	}
	return c.defaults.Own(name)
}

func (c *Configuration) section(name string, where Place) *Section {
	if name == DefaultSection {
		return &c.defaults
	}
	if known := c.Section(name); known != nil {
		return known
	}
	s := &Section{Name: name, Place: where}
	c.Sections = append(c.Sections, s)
	return s
}

// Mistake is a line that cannot be read.
type Mistake struct {
	Place Place
	// Text says what is wrong with it; it does not repeat the line, which may hold
	// a secret.
	Text string
}

// Mistakes are all lines of a file that cannot be read.
type Mistakes []Mistake

// Error lists the mistakes, each in a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = fmt.Sprintf("%s: %s", mistake.Place, mistake.Text)
	}
	return strings.Join(lines, "\n")
}

// Read adds what a file says to the configuration, over what files before it
// said. Its error, if any, is Mistakes; the lines that can be read count even so.
func (c *Configuration) Read(name string, src []byte) error {
	r := reader{into: c, file: name}
	for line, start := 1, 0; start < len(src); line++ {
		text, next := cutLine(src, start)
		r.line(text, Place{File: name, Line: line, Start: start, End: start + len(text)})
		start = next
	}
	r.close()
	if len(r.mistakes) == 0 {
		return nil
	}
	return r.mistakes
}

// cutLine returns the line that begins at an offset, and where the next begins.
func cutLine(src []byte, start int) (string, int) {
	for i := start; i < len(src); i++ {
		switch {
		case src[i] == '\n':
			return string(src[start:i]), i + 1
		case src[i] == '\r' && i+1 < len(src) && src[i+1] == '\n':
			return string(src[start:i]), i + 2
		case src[i] == '\r':
			return string(src[start:i]), i + 1
		}
	}
	return string(src[start:]), len(src)
}

// reader reads the lines of a file.
type reader struct {
	into     *Configuration
	file     string
	section  *Section
	option   *Option  // the one that lines may continue
	lines    []string // its value so far
	indent   int      // of the option or header above
	mistakes Mistakes
}

func (r *reader) wrong(where Place, text string) {
	r.mistakes = append(r.mistakes, Mistake{Place: where, Text: text})
}

func (r *reader) line(text string, where Place) {
	if where.Line == 1 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	if !utf8.ValidString(text) {
		r.wrong(where, "this is not UTF-8")
		return
	}
	content := strings.TrimSpace(text)
	switch {
	case content == "":
		if r.option != nil {
			r.lines = append(r.lines, "")
		}
		return
	case content[0] == '#' || content[0] == ';':
		return
	}
	indent := strings.Index(text, content)
	if r.option != nil && indent > r.indent {
		r.lines = append(r.lines, content)
		r.option.Place.End = where.End
		return
	}
	r.close()
	r.indent = indent
	if header, ok := sectionName(content); ok {
		r.section = r.into.section(header, where)
		return
	}
	if r.section == nil {
		r.wrong(where, "there is no section header, such as [barman], before this line")
		return
	}
	name, value, ok := cutOption(content)
	if !ok {
		r.wrong(where, `this is neither a section header nor an option: "name = value"`)
		return
	}
	r.option = &Option{Name: name, Place: where}
	r.lines = []string{value}
}

// close ends the value of the option above.
func (r *reader) close() {
	if r.option == nil {
		return
	}
	r.option.Value = strings.TrimRight(strings.Join(r.lines, "\n"), " \t\n\v\f\r")
	r.section.set(r.option)
	r.option, r.lines = nil, nil
}

// sectionName returns what is between the first and the last bracket.
func sectionName(content string) (string, bool) {
	end := strings.LastIndexByte(content, ']')
	if content[0] != '[' || end < 2 {
		return "", false
	}
	return content[1:end], true
}

func cutOption(content string) (name, value string, ok bool) {
	i := strings.IndexAny(content, "=:")
	if i < 0 {
		return "", "", false
	}
	name = strings.ToLower(strings.TrimSpace(content[:i]))
	return name, strings.TrimSpace(content[i+1:]), name != ""
}
