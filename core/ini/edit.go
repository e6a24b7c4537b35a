package ini

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
)

// Set returns a file's content with an option of a section set to a value, as it is
// written in a file: references stand for other options, and a per cent sign is
// "%%". The option is changed where it stands, or added at the end of its section,
// or with its section at the end of the file. Everything else stays as it is, which
// is made sure of. A value of several lines is an error, and so is anything else
// that would not be read as it was written.
func Set(content []byte, section, name, value string) ([]byte, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	value = strings.TrimSpace(value)
	if strings.ContainsFunc(section+name+value, unicode.IsControl) {
		return nil, fmt.Errorf("option %q of [%s]: a value is one line without control characters", name, section)
	}
	before := map[string]string{}
	var c Configuration
	if err := c.collect(content, before); err != nil {
		return nil, err
	}
	changed := c.edit(content, section, name, strings.TrimSpace(name+" = "+value))
	after := map[string]string{}
	if err := new(Configuration).collect(changed, after); err != nil {
		return nil, err
	}
	before[key(section, name)] = value
	if !maps.Equal(before, after) {
		return nil, fmt.Errorf("option %q of [%s] cannot be written so that it is read again as it was meant", name, section)
	}
	return changed, nil
}

func key(section, name string) string { return "[" + section + "]" + name }

// collect reads a file and notes all values.
func (c *Configuration) collect(content []byte, values map[string]string) error {
	if err := c.Read("", content); err != nil {
		var mistakes Mistakes
		if errors.As(err, &mistakes) {
			return fmt.Errorf("line %d: %s", mistakes[0].Place.Line, mistakes[0].Text)
		}
		return err
	}
	c.defaults.Name = DefaultSection
	for _, s := range append(c.Sections, &c.defaults) {
		for _, o := range s.Options {
			values[key(s.Name, o.Name)] = o.Value
		}
	}
	return nil
}

// edit puts a line in its place.
func (c *Configuration) edit(content []byte, section, name, line string) []byte {
	s := c.Section(section)
	if section == DefaultSection {
		s = &c.defaults
	}
	newline := "\n"
	if bytes.Contains(content, []byte("\r\n")) {
		newline = "\r\n"
	}
	if s == nil || s.Place == (Place{}) && len(s.Options) == 0 {
		var b bytes.Buffer
		b.Write(content)
		if len(content) > 0 && content[len(content)-1] != '\n' {
			b.WriteString(newline)
		}
		if len(content) > 0 {
			b.WriteString(newline)
		}
		b.WriteString("[" + section + "]" + newline + line + newline)
		return b.Bytes()
	}
	if o := s.Own(name); o != nil {
		return splice(content, o.Place.Start, o.Place.End, indentation(content, o.Place)+line)
	}
	last := s.Place
	for _, o := range s.Options {
		if o.Place.End > last.End {
			last = o.Place
		}
	}
	return splice(content, last.End, last.End, newline+indentation(content, last)+line)
}

// indentation is the space before what stands at a place.
func indentation(content []byte, p Place) string {
	text := content[p.Start:p.End]
	return string(text[:len(text)-len(bytes.TrimLeft(text, " \t"))])
}

func splice(content []byte, start, end int, text string) []byte {
	changed := append([]byte(nil), content[:start]...)
	return append(append(changed, text...), content[end:]...)
}
