package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/barman-go/barman/core/config/barmanconf"
	"github.com/barman-go/barman/core/ini"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

const (
	scopeServer = "server"
	scopeModel  = "model"
)

// Change is a change of the settings of a server or model, in the form in which
// Python Barman keeps changes in its queue.
type Change struct {
	// Scope is server or model, where the configuration is HCL; a barman.conf has
	// sections for both, and Python Barman does not know the word.
	Scope string `json:"scope,omitempty"`
	// Section is the name of the server or model.
	Section string `json:"section"`
	// Settings are what is set.
	Settings []Setting `json:"changes_set"`
}

// Setting is a setting with its new value.
type Setting struct {
	// Key is the option's name in a barman.conf, or the setting's in HCL, with the
	// block's before it: retention.policy.
	Key string `json:"key"`
	// Value is as it would be written.
	Value settingText `json:"value"`
	// File is the absolute path of the one that is changed.
	File string `json:"config_file"`
}

// settingText is a value, which may be given as a number or a boolean as well.
type settingText string

// UnmarshalJSON takes strings, numbers and booleans.
func (t *settingText) UnmarshalJSON(raw []byte) error {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		*t = settingText(plain)
		return nil
	}
	if text := string(bytes.TrimSpace(raw)); text != "" && strings.IndexByte("{[n", text[0]) < 0 {
		*t = settingText(text)
		return nil
	}
	return errors.New("a value is a string, a number or a boolean")
}

// Plan makes changes of what config-update is asked for: a JSON array of objects
// with a scope, the name of the server or model, and settings. The configuration as
// it would be is loaded: a change that makes it, or a server, unusable is refused,
// and so is an unknown setting or a value that would be ignored. Nothing is changed
// yet.
func (c *Config) Plan(request []byte) ([]Change, error) {
	var wanted []map[string]settingText
	if err := json.Unmarshal(request, &wanted); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, `the changes are not a JSON array of objects such as {"scope": "server", "server_name": "main", …}: %w`, err)
	}
	var changes []Change
	for i, object := range wanted {
		change, err := c.plan(object)
		if err != nil {
			return nil, sdk.Errorf(sdk.Invalid, "change %d: %w", i+1, err)
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return nil, sdk.Errorf(sdk.Invalid, "there is no change in the request")
	}
	edited, err := c.Edit(changes)
	if err != nil {
		return nil, err
	}
	return changes, c.try(edited)
}

func (c *Config) plan(object map[string]settingText) (Change, error) {
	scope := string(object["scope"])
	if scope != scopeServer && scope != scopeModel {
		return Change{}, fmt.Errorf(`"scope" must be "server" or "model", not %q`, scope)
	}
	nameKey := scope + "_name"
	name := string(object[nameKey])
	if name == "" {
		return Change{}, fmt.Errorf("%q is missing", nameKey)
	}
	isServer := slices.ContainsFunc(c.Servers, func(s *Server) bool { return s.Name == name })
	isModel := slices.ContainsFunc(c.Models, func(m Model) bool { return m.Name == name })
	switch {
	case scope == scopeServer && isModel:
		return Change{}, fmt.Errorf("%q is a model, not a server", name)
	case scope == scopeModel && isServer:
		return Change{}, fmt.Errorf("%q is a server, not a model", name)
	case scope == scopeServer && !isServer:
		return Change{}, fmt.Errorf("server %q is not configured", name)
	case scope == scopeModel && !isModel && object["cluster"] == "":
		return Change{}, fmt.Errorf(`the new model %q needs a "cluster"`, name)
	}
	change := Change{Section: name}
	if c.classic == nil {
		change.Scope = scope
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if key != "scope" && key != nameKey {
			change.Settings = append(change.Settings, c.setting(name, key, object[key]))
		}
	}
	if len(change.Settings) == 0 {
		return Change{}, fmt.Errorf("nothing is set")
	}
	if scope == scopeModel && !isModel && c.classic != nil {
		change.Settings = append(change.Settings, c.setting(name, "model", "on"))
	}
	return change, nil
}

// setting finds the file that a setting has to be changed in.
func (c *Config) setting(section, key string, value settingText) Setting {
	s := Setting{Key: key, Value: value, File: c.changesPath()}
	if c.classic != nil {
		s.Key = strings.ToLower(key)
		if path := c.classic.File(section, s.Key); path != "" {
			s.File = absolutePath(path)
		}
	}
	return s
}

// absolutePath is a path for other processes, whose directory is another.
func absolutePath(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// changesPath is the file for what no file says yet.
func (c *Config) changesPath() string {
	if c.classic != nil {
		return filepath.Join(c.Global.Home, barmanconf.AutoFile)
	}
	return filepath.Join(c.Global.Home, changesFile)
}

// Edit returns what is in the files of changes when the changes are made. Only files
// that the configuration is read from, or that config-update writes, are changed.
func (c *Config) Edit(changes []Change) (map[string][]byte, error) {
	edited := map[string][]byte{}
	for _, change := range changes {
		for _, s := range change.Settings {
			if s.File != c.changesPath() && !slices.ContainsFunc(c.Paths, func(path string) bool { return absolutePath(path) == s.File }) {
				return nil, sdk.Errorf(sdk.Invalid, "%s is no file of the configuration", s.File)
			}
			content, begun := edited[s.File]
			if !begun {
				var err error
				if content, err = readFile(s.File, maxFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return nil, err
				}
			}
			var err error
			if c.classic != nil {
				content, err = ini.Set(content, change.Section, s.Key, string(s.Value))
			} else {
				content, err = setHCL(content, s.File, change, s)
			}
			if err != nil {
				return nil, sdk.Errorf(sdk.Invalid, "change of %q: %w", change.Section, err)
			}
			edited[s.File] = content
		}
	}
	return edited, nil
}

// try loads the configuration as it would be.
func (c *Config) try(edited map[string][]byte) error {
	e := c.env
	e.replaced = map[string][]byte{}
	for path, content := range edited {
		e.replaced[absolutePath(path)] = content
	}
	changed, err := e.Load(c.asked)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, d := range c.Warnings {
		known[d.Detail] = true
	}
	var wrong hcl.Diagnostics
	for _, d := range changed.Warnings {
		if (d.Summary == barmanconf.IgnoredValue || d.Summary == barmanconf.InvalidOption) && !known[d.Detail] {
			wrong = append(wrong, mistake(*d.Subject, d.Summary, d.Detail))
		}
	}
	for _, s := range changed.Servers {
		before, err := c.Server(s.Name)
		if err != nil || len(before.Problems) == 0 {
			wrong = append(wrong, s.Problems...)
		}
	}
	return Check(tidy(wrong), changed.files)
}

// classicKeys are settings in HCL by the names of options of Python Barman, for
// programs that send changes under those.
func classicKeys() map[string]string {
	return map[string]string{
		"archiver": "wal.archive", "archiver_batch_size": "wal.incoming_batch_size", "streaming_archiver_batch_size": "wal.streaming_batch_size",
		"max_incoming_wals_queue": "wal.maximum_queue", "parallel_jobs": "backup.jobs", "basebackup_retry_times": "backup.retry_times",
		"basebackup_retry_sleep": "backup.retry_sleep", "minimum_redundancy": "retention.minimum_redundancy",
		"retention_policy": "retention.policy", "recovery_options": "recovery.options",
	}
}

// changeable are the settings that can be changed in HCL, with their types. Stages
// and hooks are not among them.
func changeable() (map[string]schema.Type, error) {
	s := newSections()
	if s.err != nil {
		return nil, s.err
	}
	all := map[string]schema.Type{}
	for prefix, section := range map[string]section{"": s.server, "backup.": s.backup, "wal.": s.wal, "retention.": s.retention, "recovery.": s.recovery} {
		for _, a := range section.decoder.Schema().Attributes {
			all[prefix+a.Name] = a.Type
		}
	}
	return all, nil
}

// setHCL sets a setting in the file that config-update writes.
func setHCL(content []byte, path string, change Change, s Setting) ([]byte, error) {
	known, err := changeable()
	if err != nil {
		return nil, err
	}
	key := s.Key
	if other, classic := classicKeys()[key]; classic {
		key = other
	}
	t, ok := known[key]
	if !ok {
		return nil, fmt.Errorf("%q cannot be changed: it is no setting of servers, or one of a stage or hook, which stand in the configuration file.%s",
			s.Key, didYouMean(s.Key, slices.Collect(maps.Keys(known))))
	}
	file, diags := hclwrite.ParseConfig(content, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, &Error{Diagnostics: diags, Files: map[string]*hcl.File{path: {Bytes: content}}}
	}
	if len(content) == 0 {
		line := "# Written by barman config-update, and read after all other files.\n"
		file.Body().AppendUnstructuredTokens(hclwrite.TokensForIdentifier(line))
	}
	body := blockOf(file.Body(), change.Scope, change.Section)
	block, name, nested := strings.Cut(key, ".")
	if !nested {
		name = key
	} else {
		body = blockOf(body, block)
	}
	value, err := asSetting(t, string(s.Value))
	if err != nil {
		return nil, fmt.Errorf("%q must be %s: %w", s.Key, t.Expects(), err)
	}
	body.SetAttributeValue(name, value)
	return hclwrite.Format(file.Bytes()), nil
}

// blockOf finds a block, or makes it.
func blockOf(body *hclwrite.Body, kind string, labels ...string) *hclwrite.Body {
	if found := body.FirstMatchingBlock(kind, labels); found != nil {
		return found.Body()
	}
	return body.AppendNewBlock(kind, labels).Body()
}

// asSetting makes a value of text.
func asSetting(t schema.Type, text string) (cty.Value, error) {
	switch t {
	case schema.Bool:
		var v bool
		err := json.Unmarshal([]byte(text), &v)
		switch strings.ToLower(text) {
		case "on", "yes", "t", "1":
			v, err = true, nil
		case "off", "no", "f", "0":
			v, err = false, nil
		}
		return cty.BoolVal(v), err
	case schema.Int, schema.Number:
		return cty.ParseNumberVal(text)
	case schema.Duration:
		if strings.Trim(text, "0123456789") == "" && text != "" {
			text += "s" // Python Barman counts in seconds
		}
	case schema.List:
		var items []cty.Value
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, cty.StringVal(item))
			}
		}
		if len(items) == 0 {
			return cty.ListValEmpty(cty.String), nil
		}
		return cty.ListVal(items), nil
	}
	return cty.StringVal(text), nil
}
