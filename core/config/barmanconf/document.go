package barmanconf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/barman-go/barman/core/ini"
	"github.com/barman-go/barman/sdk/schema"
)

// Document is a configuration in blocks.
type Document struct {
	// Comments stand at the top, a line each.
	Comments []string
	// Blocks are barman, the servers and the models.
	Blocks []*Block
	// Warnings are about values that were ignored and options without effect.
	Warnings hcl.Diagnostics
	// Problems are errors that concern one server alone, by its name.
	Problems map[string]hcl.Diagnostics
	// RefusedPolicies are why servers have no retention policy though one was written,
	// by the servers' names.
	RefusedPolicies map[string]string
	// ActiveModels are the models that are laid over servers, by the servers' names.
	ActiveModels map[string]string
}

// Document says a configuration without errors in blocks. With active, the models that servers'
// directories name have been laid over them; without, they are as they are written.
func (c *Configuration) Document(active bool) *Document {
	d := &Document{Warnings: slices.Clone(c.Diagnostics), Problems: maps.Clone(c.Problems), ActiveModels: map[string]string{}, RefusedPolicies: map[string]string{}}
	d.Blocks = append(d.Blocks, c.barmanBlock(d))
	for _, s := range c.servers {
		v := s.values
		if active && s.active != "" {
			m := c.model(s.active)
			v = c.overlay(v, m.values)
			d.ActiveModels[s.name] = s.active
			d.Problems[s.name] = append(d.Problems[s.name], c.Problems[m.name]...)
		}
		d.Blocks = append(d.Blocks, c.serverBlock(d, s, v))
	}
	for _, m := range c.models {
		d.Blocks = append(d.Blocks, c.modelBlock(d, m))
		delete(d.Problems, m.name)
	}
	return d
}

// Import is Document for a file of its own: everything that has no effect is told
// of in comments too. In HCL a mistake stops everything, so servers with problems
// are there as comments only. What servers have in common is in a block "defaults".
func (c *Configuration) Import(problems map[string]hcl.Diagnostics) *Document {
	d := c.Document(false)
	d.Problems = problems
	c.compareModels(d)
	d.Comments = []string{"Written by barman config import from " + strings.Join(c.Paths, ", ") + "."}
	for _, m := range c.models {
		d.Warnings = append(d.Warnings, c.Problems[m.name]...)
	}
	for _, b := range d.Blocks {
		name := globalSection
		if len(b.Labels) > 0 {
			name = b.Labels[0]
		}
		for _, found := range d.Warnings {
			if c.sectionOf(found) == name {
				b.Comments = append(b.Comments, oneLine(found))
			}
		}
		for _, found := range problems[name] {
			b.Comments = append(b.Comments, "ERROR: "+oneLine(found))
			b.off = true
		}
	}
	c.gatherDefaults(d)
	return d
}

// sectionOf returns the name of the section that a diagnostic is about.
func (c *Configuration) sectionOf(d *hcl.Diagnostic) string {
	for _, s := range c.file.Sections {
		for _, o := range c.file.Options(s) {
			if rangeOf(o.Place) == *d.Subject {
				return s.Name
			}
		}
		if rangeOf(s.Place) == *d.Subject {
			return s.Name
		}
	}
	return globalSection
}

func oneLine(d *hcl.Diagnostic) string {
	return fmt.Sprintf("%s:%d: %s", d.Subject.Filename, d.Subject.Start.Line, d.Detail)
}

// builder makes the blocks of a server or a model.
type builder struct {
	c        *Configuration
	v        values
	place    ini.Place
	warnings hcl.Diagnostics
	problems hcl.Diagnostics
	refused  string // why there is no retention policy
}

// where is the place of an option, or else that of the section.
func (b *builder) where(name string) ini.Place {
	if p := b.v[name].place; p != (ini.Place{}) {
		return p
	}
	return b.place
}

func (b *builder) doubt(name, format string, args ...any) {
	b.warnings = append(b.warnings, diagnostic(hcl.DiagWarning, b.where(name), "Option without effect", fmt.Sprintf(format, args...)))
}

// ignored tells of a value that is not taken as it is.
func (b *builder) ignored(name, format string, args ...any) {
	b.warnings = append(b.warnings, diagnostic(hcl.DiagWarning, b.where(name), IgnoredValue, fmt.Sprintf(format, args...)))
}

func (b *builder) problem(name, summary, format string, args ...any) {
	b.problems = append(b.problems, diagnostic(hcl.DiagError, b.where(name), summary, fmt.Sprintf(format, args...)))
}

func (b *builder) block(kind string, labels ...string) *Block {
	return &Block{Type: kind, Labels: labels, Range: rangeOf(b.place)}
}

func (c *Configuration) barmanBlock(d *Document) *Block {
	v := c.barman
	b := &Block{Type: "barman", Range: rangeOf(c.file.Section(globalSection).Place)}
	b.setText("home", v["barman_home"])
	if v["barman_user"].set {
		b.setText("user", v["barman_user"])
	}
	for _, o := range []struct{ option, setting string }{
		{"barman_lock_directory", "lock_directory"}, {"config_changes_queue", "config_changes_queue"}, {"log_file", "log_file"},
	} {
		if v.given(o.option) {
			b.setText(o.setting, v[o.option])
		}
	}
	if v.given("lock_directory_cleanup") {
		b.setTruth("lock_directory_cleanup", v["lock_directory_cleanup"])
	}
	if v.given("log_level") {
		level, known := logLevel(v.text("log_level"))
		if !known {
			d.Warnings = append(d.Warnings, diagnostic(hcl.DiagWarning, v["log_level"].place, IgnoredValue,
				fmt.Sprintf("%q is not a level of the log; it is INFO.", v.text("log_level"))))
		}
		b.set("log_level", v["log_level"], cty.StringVal(level))
	}
	return b
}

// logLevel translates the levels of Python's logging, which may be numbers.
func logLevel(text string) (level string, known bool) {
	names := map[string]int64{"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
	n, known := names[strings.ToUpper(text)]
	if !known {
		var err error
		if n, err = parseNumber(text); err != nil {
			return "info", false
		}
	}
	switch {
	case n < 10:
		return "trace", true
	case n < 20:
		return "debug", true
	case n < 30:
		return "info", true
	case n < 40:
		return "warn", true
	}
	return "error", true
}

func (c *Configuration) serverBlock(d *Document, s *section, v values) *Block {
	b := &builder{c: c, v: v, place: s.place}
	block := b.block("server", s.name)
	b.server(block)
	block.add(b.backup())
	block.add(b.wal())
	block.add(b.retention())
	block.add(b.recovery())
	for _, h := range hookOptions() {
		block.add(b.hook(h))
	}
	b.refuse()
	if b.refused != "" {
		d.RefusedPolicies[s.name] = b.refused
	}
	d.Warnings = append(d.Warnings, b.warnings...)
	if len(b.problems) > 0 {
		d.Problems[s.name] = append(d.Problems[s.name], b.problems...)
	}
	return block
}

// server adds the settings of the server or model itself.
func (b *builder) server(to *Block) {
	v := b.v
	for _, o := range []string{"description", "cluster", "primary_ssh_command", "conninfo", "streaming_conninfo", "wal_conninfo", "wal_streaming_conninfo", "primary_conninfo",
		"backup_directory", "basebackups_directory", "wals_directory", "incoming_wals_directory", "streaming_wals_directory", "errors_directory",
		"xlogdb_directory", "last_backup_maximum_age", "last_wal_maximum_age"} {
		if v.given(o) {
			to.setText(o, v[o])
		}
	}
	for _, o := range []string{"active", "forward_config_path"} {
		if v.given(o) {
			to.setTruth(o, v[o])
		}
	}
	for _, o := range []string{"check_timeout", "primary_checkpoint_timeout"} {
		if v.given(o) {
			to.set(o, v[o], seconds(v[o]))
		}
	}
	if size := v["last_backup_minimum_size"]; size.set {
		to.set("last_backup_minimum_size", size, cty.StringVal(schema.ByteSize(size.number).String()))
	}
}

func seconds(v value) cty.Value { return cty.StringVal(fmt.Sprintf("%ds", max(v.number, 0))) }

// refuse tells of what is asked for and is not there yet.
func (b *builder) refuse() {
	const summary = "Not supported yet"
	if b.v.truth("worm_mode") {
		b.problem("worm_mode", summary, `"worm_mode" is not supported yet: barman writes to files that it has stored.`)
	}
	if b.v.text("encryption") == "gpg" {
		b.problem("encryption", summary, `"encryption = gpg" is not supported yet, and nothing is stored that should be encrypted and is not.`)
	}
	if b.v.text("backup_method") == "snapshot" {
		b.problem("backup_method", summary, `"backup_method = snapshot" is not supported yet.`)
	}
}

func (b *builder) retention() *Block {
	block := b.block("retention")
	policy := b.v["retention_policy"]
	if policy.set {
		switch canonical, err := canonicalPolicy(policy.text); {
		case err != nil:
			b.refused = err.Error()
			b.ignored("retention_policy", "No retention policy is enforced: %v.", err)
		default:
			block.set("policy", policy, cty.StringVal(canonical))
		}
	}
	if redundancy := b.v["minimum_redundancy"]; b.v.given("minimum_redundancy") {
		n, err := parseNumber(redundancy.text)
		if err != nil || n < 0 {
			b.ignored("minimum_redundancy", `"minimum_redundancy" must be a whole number, 0 or more, not %q; it is 0.`, redundancy.text)
			n = 0
		}
		block.set("minimum_redundancy", redundancy, cty.NumberIntVal(n))
	}
	if mode := b.v["retention_policy_mode"]; b.v.given("retention_policy_mode") && !strings.EqualFold(mode.text, "auto") {
		b.ignored("retention_policy_mode", `"retention_policy_mode" can only be auto, not %q.`, mode.text)
	}
	if policy := b.v["wal_retention_policy"]; b.v.given("wal_retention_policy") && !strings.EqualFold(policy.text, "main") {
		b.ignored("wal_retention_policy", `"wal_retention_policy" can only be main, not %q.`, policy.text)
	}
	return block
}

func (b *builder) recovery() *Block {
	block := b.block("recovery")
	options := b.v["recovery_options"]
	if !options.set {
		return block
	}
	var kept []cty.Value
	for o := range strings.SplitSeq(options.text, ",") {
		kept = append(kept, cty.StringVal(o))
	}
	block.set("options", options, cty.ListVal(kept))
	return block
}

func (b *builder) hook(h hookOption) *Block {
	command := b.v[h.name]
	if !command.set {
		return nil
	}
	block := &Block{Type: "hook", Labels: []string{h.event}, Range: rangeOf(command.place)}
	block.set("script", command, cty.StringVal(b.onPath(command.text)))
	if h.retry {
		block.set("retry", command, cty.True)
	}
	return block
}

// onPath makes a shell command one that finds programs in path_prefix first.
func (b *builder) onPath(command string) string {
	prefix := b.v["path_prefix"]
	if !prefix.set || command == "" {
		return command
	}
	return "PATH='" + strings.ReplaceAll(prefix.text, "'", `'\''`) + `':"$PATH"; export PATH; ` + command
}

func (c *Configuration) model(name string) *section {
	i := slices.IndexFunc(c.models, func(m *section) bool { return m.name == name })
	return c.models[i]
}

// overlay lays a model's values over a server's.
func (c *Configuration) overlay(server, model values) values {
	merged := maps.Clone(server)
	for name, v := range model {
		if v.set && c.known[name].scope&ofModel != 0 && name != "cluster" && name != "model" {
			merged[name] = v
		}
	}
	return merged
}

// pipelineOptions are those that make the backup and wal blocks, of which a model
// says all or nothing.
func pipelineOptions() (backup, wal []string) {
	backup = []string{"backup_method", "backup_options", "backup_compression", "backup_compression_format", "backup_compression_level",
		"backup_compression_location", "backup_compression_workers", "reuse_backup", "immediate_checkpoint", "network_compression", "bandwidth_limit",
		"tablespace_bandwidth_limit", "parallel_jobs_start_batch_size", "parallel_jobs_start_batch_period", "autogenerate_manifest",
		"ssh_command", "streaming_backup_name", "keepalive_interval"}
	wal = []string{"archiver", "streaming_archiver", "streaming_archiver_name", "slot_name", "create_slot", "compression", "compression_level",
		"custom_compression_filter", "custom_decompression_filter", "custom_compression_magic"}
	return backup, wal
}

// modelBlock says what a model changes. A pipeline of which it changes something is
// there as a whole, as it is with the model laid over the first server that it fits.
func (c *Configuration) modelBlock(d *Document, m *section) *Block {
	own := &builder{c: c, v: m.values, place: m.place}
	block := own.block("model", m.name)
	own.server(block)
	over := c.evaluate(&ini.Section{Name: m.name}, ofServer)
	if fits := c.fitting(m); len(fits) > 0 {
		over = fits[0].values
	}
	for _, pipeline := range c.changedPipelines(m, over) {
		block.add(pipeline)
	}
	block.add(own.retention())
	block.add(own.recovery())
	d.Warnings = append(d.Warnings, own.warnings...)
	return block
}

// fitting are the servers that a model can be laid over.
func (c *Configuration) fitting(m *section) []*section {
	return slices.DeleteFunc(slices.Clone(c.servers), func(s *section) bool { return s.values.text("cluster") != m.values.text("cluster") })
}

// changedPipelines are a model's backup and wal blocks when it is laid over a server.
func (c *Configuration) changedPipelines(m *section, over values) []*Block {
	backup, wal := pipelineOptions()
	changes := func(name string) bool { return m.values[name].set }
	b := &builder{c: c, place: m.place, v: c.overlay(over, m.values)}
	return []*Block{
		pick(b.backup(), slices.ContainsFunc(backup, changes), m.values, map[string]string{
			"jobs": "parallel_jobs", "retry_times": "basebackup_retry_times", "retry_sleep": "basebackup_retry_sleep"}),
		pick(b.wal(), slices.ContainsFunc(wal, changes), m.values, map[string]string{
			"incoming_batch_size": "archiver_batch_size", "streaming_batch_size": "streaming_archiver_batch_size", "maximum_queue": "max_incoming_wals_queue"}),
	}
}

// compareModels warns of models whose pipelines differ from server to server, which
// one block cannot say.
func (c *Configuration) compareModels(d *Document) {
	for _, m := range c.models {
		fits := c.fitting(m)
		for _, s := range fits {
			if said(c.changedPipelines(m, s.values)) != said(c.changedPipelines(m, fits[0].values)) {
				d.Warnings = append(d.Warnings, diagnostic(hcl.DiagWarning, m.place, "Model that depends on its server", fmt.Sprintf(
					"The servers %q and %q make different pipelines of the model %q; written is that of %q.", fits[0].name, s.name, m.name, fits[0].name)))
			}
		}
	}
}

// pick leaves of a pipeline its stages, if wanted, and the settings that a model has.
func pick(pipeline *Block, stages bool, own values, settings map[string]string) *Block {
	picked := *pipeline
	picked.attributes = slices.DeleteFunc(slices.Clone(pipeline.attributes), func(a attribute) bool {
		option, optional := settings[a.name]
		return optional && !own[option].set || !optional && !stages
	})
	if !stages {
		picked.blocks = nil
	} else if len(picked.blocks) == 0 {
		picked.blocks = []*Block{{Type: "sink", Labels: []string{"posix"}, Range: pipeline.Range}}
	}
	return &picked
}

// limit is a bandwidth limit in kilobytes a second; none is 0.
func (b *builder) limit() value {
	v := b.v["bandwidth_limit"]
	if !v.set {
		return value{}
	}
	n, err := parseNumber(v.text)
	if err != nil || n < 0 {
		b.ignored("bandwidth_limit", `"bandwidth_limit" must be a whole number of kilobytes a second, not %q; there is no limit.`, v.text)
		return value{}
	}
	v.number = n
	return v
}

func sortedTablespaceLimits(text string) (rules string, bad []string) {
	var good []string
	for _, rule := range strings.Fields(text) {
		name, limit, found := strings.Cut(rule, ":")
		n, err := parseNumber(limit)
		if !found || name == "" || err != nil {
			bad = append(bad, rule)
			continue
		}
		good = append(good, fmt.Sprintf("%s:%d", name, n))
	}
	slices.SortFunc(good, cmp.Compare[string])
	return strings.Join(good, " "), bad
}
