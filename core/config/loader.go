package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/config/barmanconf"
	"github.com/barman-go/barman/sdk/schema"
)

// loader gathers the blocks of all files, then decodes them.
type loader struct {
	env      Environment
	ctx      *hcl.EvalContext
	sections sections
	config   *Config
	diags    hcl.Diagnostics
	exposed  map[string]bool

	barman, defaults         *hcl.Block
	plugins, servers, models []*hcl.Block
	// changed are the servers' and models' blocks of the file that config-update
	// writes, by type and name.
	changed map[string]*hcl.Block
	// classic is the barman.conf that the blocks are made of; nil for HCL.
	classic *barmanconf.Document
	// known are the models.
	known []*model
}

// section is a block of the core, ready to be decoded.
type section struct {
	decoder *schema.Decoder
	body    *hcl.BodySchema
}

type sections struct {
	barman, plugin, server, backup, wal, retention, recovery, sink, hook section
	err                                                                  error
}

func newSections() sections {
	var s sections
	add := func(config any, labelled ...hcl.BlockHeaderSchema) section {
		decoder, err := schema.NewDecoder(config)
		if err != nil {
			s.err = cmp.Or(s.err, err)
			return section{}
		}
		return section{decoder: decoder, body: bodySchema(decoder.Schema(), labelled...)}
	}
	s.barman = add(barmanBlock{})
	s.plugin = add(pluginBlock{})
	s.server = add(serverBlock{}, header("backup"), header("wal"), header("retention"), header("recovery"), header("hook", "event"))
	s.backup = add(backupBlock{}, header(kindSource, "plugin"), header(kindTransform, "plugin"), header(kindSink, "plugin"))
	s.wal = add(walBlock{}, header(kindSource, "plugin"), header(kindTransform, "plugin"), header(kindSink, "plugin"))
	s.retention = add(retentionBlock{})
	s.recovery = add(recoveryBlock{})
	s.sink = add(sinkBlock{})
	s.hook = add(hookBlock{})
	return s
}

func header(name string, labels ...string) hcl.BlockHeaderSchema {
	return hcl.BlockHeaderSchema{Type: name, LabelNames: labels}
}

func newLoader(e Environment) *loader {
	return &loader{
		env: e, ctx: e.evalContext(), sections: newSections(), exposed: map[string]bool{},
		changed: map[string]*hcl.Block{}, config: &Config{files: map[string]*hcl.File{}},
	}
}

func (l *loader) add(diags ...*hcl.Diagnostic) { l.diags = append(l.diags, diags...) }

// take files away the blocks of a file.
func (l *loader) take(body hcl.Body) {
	content, diags := body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		header("barman"), header("plugin", "kind", "name"), header("defaults"), header("server", "name"), header("model", "name"),
	}})
	l.add(diags...)
	for _, block := range content.Blocks {
		switch block.Type {
		case "barman":
			l.only(&l.barman, block)
		case "defaults":
			l.only(&l.defaults, block)
		case "plugin":
			l.plugins = append(l.plugins, block)
		case "server":
			l.servers = append(l.servers, block)
		case "model":
			l.models = append(l.models, block)
		}
	}
}

// only keeps the first of the blocks of which there can be one.
func (l *loader) only(slot **hcl.Block, block *hcl.Block) {
	if *slot != nil {
		l.add(duplicateBlock(fmt.Sprintf("%q", block.Type), block.DefRange, (*slot).DefRange))
		return
	}
	*slot = block
}

// finish decodes what was taken.
func (l *loader) finish() (*Config, error) {
	if l.sections.err != nil {
		return nil, l.sections.err
	}
	l.decodeGlobal()
	if err := l.readChanges(); err != nil {
		return nil, err
	}
	l.decodePlugins()
	l.decodeModels()
	l.decodeServers()
	l.checkDirectories()
	diags := tidy(l.diags)
	if err := Check(diags, l.config.files); err != nil {
		return nil, err
	}
	_, l.config.Warnings = split(diags)
	slices.SortFunc(l.config.Servers, func(a, b *Server) int { return strings.Compare(a.Name, b.Name) })
	return l.config, nil
}

// decode fills target, a pointer to the section's struct, from settings.
func (l *loader) decode(s section, from *settings, target any, owner string) {
	l.add(from.missing(owner)...)
	values, err := from.MarshalJSON()
	if err == nil {
		err = s.decoder.Decode(values, target)
	}
	found, ok := err.(schema.Diagnostics)
	if err != nil && !ok {
		l.add(mistake(from.where, "Unusable settings", err.Error()+"."))
	}
	for _, d := range found {
		// What is absent or broken has been reported.
		if v, given := from.attributes[d.Path]; given && !v.broken {
			l.add(mistake(v.whole, d.Summary, d.Detail))
		}
	}
}

func (l *loader) decodeGlobal() {
	read := &settings{schema: l.sections.barman.decoder.Schema()}
	if l.barman != nil {
		var diags hcl.Diagnostics
		read, diags = readBody(l.barman.Body, l.barman.DefRange, read.schema, l.ctx)
		l.add(diags...)
	}
	var b barmanBlock
	l.decode(l.sections.barman, read, &b, `block "barman"`)
	b.Home = l.absolute(read, "home", b.Home)
	b.LockDirectory = l.absolute(read, "lock_directory", cmp.Or(b.LockDirectory, b.Home))
	for i, directory := range b.PluginDirs {
		b.PluginDirs[i] = l.absolute(read, "plugin_dirs", directory)
	}
	if b.LogFile != "" {
		b.LogFile = l.absolute(read, "log_file", b.LogFile)
	}
	b.LogLevel = l.choice(read, "log_level", strings.ToLower(b.LogLevel), logLevels())
	b.ConfigChangesQueue = l.absolute(read, "config_changes_queue", cmp.Or(b.ConfigChangesQueue, filepath.Join(b.Home, "cfg_changes.queue")))
	l.config.Global, l.config.global = Global(b), read
}

// absolute cleans a path and refuses a relative one: the working directory of
// cron, systemd and a terminal differ.
func (l *loader) absolute(s *settings, name, path string) string {
	if !filepath.IsAbs(path) {
		l.add(mistake(s.place(name), "Relative path", fmt.Sprintf("%q must be an absolute path; %q is relative.", name, path)))
	}
	return filepath.Clean(path)
}

// choice refuses what is not one of the known values.
func (l *loader) choice(s *settings, name, given string, known []string) string {
	if !contains(known, given) {
		detail := fmt.Sprintf("%q must be %s, not %q.%s", name, oneOf(known), given, didYouMean(given, known))
		l.add(mistake(s.place(name), "Unknown value", detail))
	}
	return given
}

var (
	pluginName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	sha256Hex  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (l *loader) checkPluginName(name string, where hcl.Range) {
	if !pluginName.MatchString(name) {
		detail := fmt.Sprintf("%q cannot be a plugin: a name has lower case letters, digits, hyphens and underscores.", name)
		l.add(mistake(where, "Invalid plugin name", detail))
	}
}

func (l *loader) decodePlugins() {
	places := map[[2]string]hcl.Range{}
	for _, block := range l.plugins {
		kind, name := block.Labels[0], block.Labels[1]
		if !contains(pluginKinds(), kind) {
			detail := fmt.Sprintf("The kind of a plugin is %s, not %q.%s", oneOf(pluginKinds()), kind, didYouMean(kind, pluginKinds()))
			l.add(mistake(block.LabelRanges[0], "Unknown kind of plugin", detail))
		}
		l.checkPluginName(name, block.LabelRanges[1])
		key := [2]string{kind, name}
		if first, taken := places[key]; taken {
			l.add(duplicateBlock(fmt.Sprintf("plugin %q %q", kind, name), block.DefRange, first))
			continue
		}
		places[key] = block.DefRange
		l.decodePlugin(block)
	}
}

func (l *loader) decodePlugin(block *hcl.Block) {
	read, diags := readBody(block.Body, block.DefRange, l.sections.plugin.decoder.Schema(), l.ctx)
	l.add(diags...)
	var b pluginBlock
	l.decode(l.sections.plugin, read, &b, `block "plugin"`)
	if b.Path != "" {
		b.Path = l.absolute(read, "path", b.Path)
	}
	b.SHA256 = strings.ToLower(b.SHA256)
	if b.SHA256 != "" && !sha256Hex.MatchString(b.SHA256) {
		l.add(mistake(read.place("sha256"), "Invalid checksum", "A SHA-256 checksum is 64 hexadecimal digits, as sha256sum prints it."))
	}
	if b.Path == "" && b.SHA256 == "" && !diags.HasErrors() {
		l.add(mistake(block.DefRange, "Empty block", `A plugin block says something: give it "path", "sha256" or both.`))
	}
	l.config.Plugins = append(l.config.Plugins, PinnedPlugin{Kind: block.Labels[0], Name: block.Labels[1], Path: b.Path, SHA256: b.SHA256})
}
