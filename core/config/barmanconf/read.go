package barmanconf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/ini"
)

const (
	globalSection = "barman"
	// AutoFile is the file below barman_home that config-update writes.
	AutoFile = ".barman.auto.conf"
	// ActiveModelFile is the file in a server's backup_directory that names the model
	// which has been laid over it.
	ActiveModelFile = ".active-model.auto"
)

// Summaries of warnings about what is not taken into account.
const (
	IgnoredValue  = "Ignored value"
	InvalidOption = "Invalid configuration option"
)

// Reader reads a file of bounded size; its errors name the path.
type Reader func(path string) ([]byte, error)

// Configuration is what a barman.conf and the files that belong to it say.
type Configuration struct {
	// Paths are the files that were read, in order.
	Paths []string
	// Content is what is in them.
	Content map[string][]byte
	// Diagnostics are what is wrong for all servers: errors, and warnings of values
	// that were ignored and settings that have no effect.
	Diagnostics hcl.Diagnostics
	// Problems are the errors that concern one server alone, by its name.
	Problems map[string]hcl.Diagnostics

	file    ini.Configuration
	options []option
	known   map[string]option
	barman  values
	servers []*section
	models  []*section
}

// section is a server or a model.
type section struct {
	name   string
	place  ini.Place
	values values
	// active is the model that the server's directory names; empty for none.
	active string
}

// Read reads a barman.conf, the *.conf files of its configuration_files_directory
// and the one that config-update has written. An error is one about a file as such.
func Read(path string, read Reader) (*Configuration, error) {
	c := &Configuration{Content: map[string][]byte{}, Problems: map[string]hcl.Diagnostics{}, options: options(), known: map[string]option{}}
	for _, o := range c.options {
		c.known[o.name] = o
	}
	if err := c.add(path, read); err != nil {
		return nil, err
	}
	if c.Diagnostics.HasErrors() {
		return c, nil
	}
	barman := c.file.Section(globalSection)
	if barman == nil {
		c.wrong(ini.Place{File: path, Line: 1}, "No [barman] section", "A barman.conf has a section [barman] with barman_home at least.")
		return c, nil
	}
	c.barman = c.evaluate(barman, ofBarman)
	if !c.barman["barman_home"].set {
		c.wrong(barman.Place, "Missing option", "[barman] needs barman_home, the directory below which every server has its own.")
		return c, nil
	}
	said := c.globals()
	auto := filepath.Join(c.barman.text("barman_home"), AutoFile)
	for _, path := range append(c.furtherFiles(), auto) {
		err := c.add(path, read)
		if path == auto && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !maps.Equal(said, c.globals()) {
			where := ini.Place{File: path, Line: 1}
			c.wrong(where, "Section [barman] elsewhere", fmt.Sprintf("Only %s may have a section [barman] that says something new.", c.Paths[0]))
			return c, nil
		}
	}
	if c.Diagnostics.HasErrors() {
		return c, nil
	}
	return c, c.gather(read)
}

// add reads a file over those before it.
func (c *Configuration) add(path string, read Reader) error {
	content, err := read(path)
	if err != nil {
		return err
	}
	c.Paths = append(c.Paths, path)
	c.Content[path] = content
	err = c.file.Read(path, content)
	var mistakes ini.Mistakes
	if !errors.As(err, &mistakes) {
		return err
	}
	for _, m := range mistakes {
		detail := "Barman cannot read this line: " + m.Text + "."
		if len(c.file.Sections) == 0 {
			detail += " If this is HCL, the file's name has to end in .hcl."
		}
		c.wrong(m.Place, "Invalid line", detail)
	}
	return nil
}

// globals are what [barman] says.
func (c *Configuration) globals() map[string]string {
	all := map[string]string{}
	if s := c.file.Section(globalSection); s != nil {
		for _, o := range c.file.Options(s) {
			all[o.Name] = o.Value
		}
	}
	return all
}

// furtherFiles are those of configuration_files_directory.
func (c *Configuration) furtherFiles() []string {
	var paths []string
	if v := c.barman["configuration_files_directory"]; v.set {
		entries, err := os.ReadDir(v.text) // sorted by name
		if err != nil {
			c.doubt(v.place, "Configuration directory", fmt.Sprintf("It is left out: %v.", err))
		}
		for _, entry := range entries {
			path := filepath.Join(v.text, entry.Name())
			if !strings.HasSuffix(path, ".conf") {
				continue
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				c.doubt(v.place, "Configuration directory", fmt.Sprintf("%s is left out, for it is not a file.", path))
				continue
			}
			paths = append(paths, path)
		}
	}
	return paths
}

// gather evaluates the sections of servers and models.
func (c *Configuration) gather(read Reader) error {
	for _, s := range c.file.Sections {
		switch {
		case s.Name == globalSection:
			c.checkNames(s, anywhere|ofBarman)
		case s.Name == "all":
			c.wrong(s.Place, "Reserved section name", `"all" stands for all servers on the command line; choose another name.`)
		case c.isModel(s):
			c.checkNames(s, ofModel)
			m := &section{name: s.Name, place: s.Place, values: c.evaluate(s, ofModel)}
			if !m.values["cluster"].set {
				c.wrong(s.Place, "Missing option", fmt.Sprintf("The model [%s] needs a cluster, which it has in common with the servers that it fits.", s.Name))
			}
			c.models = append(c.models, m)
		default:
			c.checkNames(s, ofServer)
			c.servers = append(c.servers, &section{name: s.Name, place: s.Place, values: c.evaluate(s, ofServer)})
		}
	}
	for _, s := range c.servers {
		path := filepath.Join(s.values.text("backup_directory"), ActiveModelFile)
		name, err := read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			c.problem(s.name, s.place, "Active model", fmt.Sprintf("%s cannot be read: %v.", path, err))
		default:
			c.activate(s, strings.TrimSpace(string(name)), path)
		}
	}
	return nil
}

// activate notes the model that a server's directory names.
func (c *Configuration) activate(s *section, name, path string) {
	i := slices.IndexFunc(c.models, func(m *section) bool { return m.name == name })
	switch {
	case i < 0:
		c.problem(s.name, s.place, "Unknown model", fmt.Sprintf("%s names the model %q, which does not exist. 'barman config-switch %s --reset' takes it off.", path, name, s.name))
	case c.models[i].values.text("cluster") != s.values.text("cluster"):
		c.problem(s.name, s.place, "Model of another cluster", fmt.Sprintf("%s names the model %q, which is of cluster %q, not %q. 'barman config-switch %s --reset' takes it off.",
			path, name, c.models[i].values.text("cluster"), s.values.text("cluster"), s.name))
	default:
		s.active = name
	}
}

func (c *Configuration) isModel(s *ini.Section) bool {
	o := c.file.Option(s, "model")
	if o == nil {
		return false
	}
	is, err := parseTruth(unquoted(o.Value))
	if err != nil {
		c.doubt(o.Place, IgnoredValue, fmt.Sprintf(`"model" of [%s] %v.`, s.Name, err))
	}
	return is
}

// checkNames warns of options that mean nothing in a section.
func (c *Configuration) checkNames(s *ini.Section, of scope) {
	for _, o := range c.file.Options(s) {
		known, ok := c.known[o.Name]
		switch {
		case !ok || known.scope&of == 0 && o.Name != "model":
			c.doubt(o.Place, InvalidOption, fmt.Sprintf("%q means nothing in [%s].", o.Name, s.Name))
		case known.idle != "" && o.Value != "":
			c.doubt(o.Place, "Option without effect", fmt.Sprintf("%q has no effect: %s.", o.Name, known.idle))
		}
	}
}

// evaluate computes the values of a section: its own, or those of [barman] for a
// server, or the defaults. A model has its own only.
func (c *Configuration) evaluate(s *ini.Section, of scope) values {
	computed := values{}
	if of != ofBarman {
		computed["name"] = value{set: true, text: s.Name}
		for _, name := range []string{"barman_home", "barman_lock_directory"} {
			computed[name] = c.barman[name]
		}
	}
	for _, o := range c.options {
		if o.scope&of == 0 {
			continue
		}
		v, decided := c.written(o, s, s.Name, computed)
		v.own = decided
		if !decided && of == ofServer && o.scope&inherited != 0 {
			v, decided = c.written(o, c.file.Section(globalSection), s.Name, computed)
		}
		if !decided && of != ofModel {
			v = c.byDefault(o, computed)
		}
		computed[o.name] = v
	}
	if of == ofBarman && !computed["barman_lock_directory"].set {
		computed["barman_lock_directory"] = value{set: true, text: computed.text("barman_home")}
	}
	return computed
}

// written returns what a section says of an option; it is not decided when it says
// nothing, or nothing that can be used. References in it are to what the server's
// options have come to so far, then to the section's own options.
func (c *Configuration) written(o option, s *ini.Section, owner string, computed values) (v value, decided bool) {
	found := c.file.Option(s, o.name)
	if found == nil {
		return value{}, false
	}
	plain, err := ini.Interpolate(found.Value, func(name string) (string, bool) {
		if v, known := computed[name]; known && v.set {
			return v.text, true
		}
		if other := c.file.Option(s, name); other != nil {
			return other.Value, true
		}
		return "", false
	})
	if err != nil {
		detail := fmt.Sprintf("The value of %q cannot be used: %v.", o.name, err)
		if s.Name == globalSection && owner == globalSection {
			c.wrong(found.Place, "Invalid reference", detail)
		} else {
			c.problem(owner, found.Place, "Invalid reference", detail)
		}
		return value{}, true
	}
	plain = unquoted(plain)
	v, err = o.parse(plain)
	if err != nil {
		c.doubt(found.Place, IgnoredValue, fmt.Sprintf("%q %v, not %q.", o.name, err, plain))
		return value{}, false
	}
	v.place = found.Place
	return v, true
}

// byDefault returns an option's default.
func (c *Configuration) byDefault(o option, computed values) value {
	if o.fallback == "" {
		return value{}
	}
	plain, err := ini.Interpolate(o.fallback, func(name string) (string, bool) {
		// What a default refers to is itself no reference: its per cent signs stay.
		return strings.ReplaceAll(computed[name].text, "%", "%%"), true
	})
	if err != nil {
		return value{}
	}
	v, err := o.parse(plain)
	if err != nil {
		return value{}
	}
	return v
}

// wrong notes an error that concerns everything.
func (c *Configuration) wrong(where ini.Place, summary, detail string) {
	c.Diagnostics = append(c.Diagnostics, diagnostic(hcl.DiagError, where, summary, detail))
}

// doubt notes a warning.
func (c *Configuration) doubt(where ini.Place, summary, detail string) {
	c.Diagnostics = append(c.Diagnostics, diagnostic(hcl.DiagWarning, where, summary, detail))
}

// problem notes an error that concerns one server, or the servers that use a model.
func (c *Configuration) problem(server string, where ini.Place, summary, detail string) {
	c.Problems[server] = append(c.Problems[server], diagnostic(hcl.DiagError, where, summary, detail))
}

func diagnostic(severity hcl.DiagnosticSeverity, where ini.Place, summary, detail string) *hcl.Diagnostic {
	r := rangeOf(where)
	return &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &r}
}

// rangeOf returns a place as HCL describes places.
func rangeOf(p ini.Place) hcl.Range {
	if p == (ini.Place{}) {
		return hcl.Range{}
	}
	return hcl.Range{
		Filename: p.File, Start: hcl.Pos{Line: p.Line, Column: 1, Byte: p.Start},
		End: hcl.Pos{Line: p.Line, Column: 1 + p.End - p.Start, Byte: p.End},
	}
}

// File returns the file that defines an option of a server's or model's section;
// empty when the section does not say it itself.
func (c *Configuration) File(section, option string) string {
	s := c.file.Section(section)
	if s == nil || s.Own(option) == nil {
		return ""
	}
	return s.Own(option).Place.File
}
