package barmanconf

import (
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk/schema"
)

// backup makes the pipeline of base backups.
func (b *builder) backup() *Block {
	block := b.block("backup")
	if jobs := b.v["parallel_jobs"]; b.v.given("parallel_jobs") {
		jobs.number = min(max(jobs.number, 1), maxJobs)
		if jobs.text != cty.NumberIntVal(jobs.number).AsBigFloat().String() {
			b.ignored("parallel_jobs", `"parallel_jobs" is from 1 to %d, not %s.`, maxJobs, jobs.text)
		}
		block.setNumber("jobs", jobs)
	}
	if times := b.v["basebackup_retry_times"]; b.v.given("basebackup_retry_times") {
		times.number = max(times.number, 0)
		block.setNumber("retry_times", times)
	}
	if sleep := b.v["basebackup_retry_sleep"]; b.v.given("basebackup_retry_sleep") {
		block.set("retry_sleep", sleep, seconds(sleep))
	}
	if b.v.text("backup_method") == "postgres" {
		b.replication(block)
	} else {
		b.rsync(block)
	}
	return block
}

// maxJobs is the most that a backup block takes.
const maxJobs = 64

// rsyncOptions are those that the source "rsync" has under the same names.
func rsyncOptions() []string {
	return []string{"ssh_command", "backup_options", "reuse_backup", "immediate_checkpoint", "network_compression", "bandwidth_limit",
		"tablespace_bandwidth_limit", "parallel_jobs_start_batch_size", "parallel_jobs_start_batch_period", "autogenerate_manifest",
		"keepalive_interval", "path_prefix"}
}

// rsync makes the source that copies files. It has the options of Python Barman by
// their names.
func (b *builder) rsync(block *Block) {
	v := b.v
	local := v.text("backup_method") == "local-rsync"
	switch {
	case v.text("backup_method") == "snapshot", v["primary_ssh_command"].set:
		return // which is told of as such
	case local && v["ssh_command"].set:
		b.problem("ssh_command", "Wrong option", `"backup_method = local-rsync" copies on this machine: it goes without "ssh_command".`)
	case !local && !v["ssh_command"].set:
		b.problem("backup_method", "Missing option", `"backup_method = rsync", which is the default, needs "ssh_command". Backups without ssh take "backup_method = postgres".`)
	}
	if c := v["backup_compression"]; c.set {
		b.problem("backup_compression", "Wrong option", `"backup_compression" is for "backup_method = postgres".`)
	}
	source := b.block("source", "rsync")
	for _, name := range rsyncOptions() {
		o := b.c.known[name]
		switch {
		case !v.given(name):
		case name == "bandwidth_limit":
			if limit := b.limit(); limit.number > 0 {
				source.setNumber(name, limit)
			}
		case name == "tablespace_bandwidth_limit":
			b.tablespaceLimits(source)
		case o.kind == truth:
			source.setTruth(name, v[name])
		case o.kind == number:
			source.setNumber(name, v[name])
		default:
			source.setText(name, v[name])
		}
	}
	block.add(source)
}

func (b *builder) tablespaceLimits(source *Block) {
	rules, bad := sortedTablespaceLimits(b.v.text("tablespace_bandwidth_limit"))
	if len(bad) > 0 {
		b.ignored("tablespace_bandwidth_limit", `"tablespace_bandwidth_limit" has rules that are not "name:kilobytes": %s.`, strings.Join(bad, " "))
	}
	source.set("tablespace_bandwidth_limit", b.v["tablespace_bandwidth_limit"], cty.StringVal(rules))
}

// replication makes the source that speaks the replication protocol.
func (b *builder) replication(block *Block) {
	v := b.v
	for _, name := range []string{"reuse_backup", "network_compression", "tablespace_bandwidth_limit"} {
		if o := v[name]; o.set && (o.truth || o.text == "link" || o.text == "copy" || name == "tablespace_bandwidth_limit") {
			b.problem(name, "Wrong option", `%q is for "backup_method = rsync", not for postgres.`, name)
		}
	}
	for _, name := range []string{"ssh_command", "parallel_jobs_start_batch_size", "parallel_jobs_start_batch_period", "autogenerate_manifest", "keepalive_interval"} {
		if v[name].own && v[name].set {
			b.doubt(name, `%q has no effect: only rsync backups use it.`, name)
		}
	}
	if v.given("backup_options") && v.has("backup_options", "exclusive_backup") {
		b.doubt("backup_options", `"exclusive_backup" has no effect: backups over the replication protocol are concurrent.`)
	}
	source := b.block("source", "pgbasebackup")
	if fast := v["immediate_checkpoint"]; v.given("immediate_checkpoint") {
		source.set("checkpoint", fast, cty.StringVal(map[bool]string{true: "fast", false: "spread"}[fast.truth]))
	}
	if limit := b.limit(); limit.number > 0 {
		source.set("max_rate", limit, cty.StringVal(schema.ByteSize(limit.number<<10).String()))
	}
	if v.given("streaming_backup_name") {
		source.setText("application_name", v["streaming_backup_name"])
	}
	layout, transform := b.compressedBackup(source)
	block.set("layout", v["backup_compression_format"], cty.StringVal(layout))
	block.add(source)
	block.add(transform)
}

// compressedBackup returns how a backup is stored, and what compresses it if the
// server does not.
func (b *builder) compressedBackup(source *Block) (layout string, transform *Block) {
	v := b.v
	codec, format := v["backup_compression"], v.text("backup_compression_format")
	if !codec.set {
		return "plain", nil
	}
	onServer := v.text("backup_compression_location") == "server"
	if format == "plain" && onServer {
		b.doubt("backup_compression_format", `With "backup_compression_format = plain" backups are stored as plain files; they are not compressed on their way from the server.`)
		return "plain", nil
	}
	if format == "plain" {
		b.doubt("backup_compression_format", `"backup_compression_format = plain" needs "backup_compression_location = server"; backups are stored as tar files.`)
	}
	level, workers := v["backup_compression_level"], v["backup_compression_workers"]
	if codec.text == "none" {
		return "tar", nil
	}
	if workers.set && codec.text != "zstd" {
		b.doubt("backup_compression_workers", `"backup_compression_workers" has no effect: only zstd has workers.`)
		workers = value{}
	}
	// Python Barman lets pg_basebackup decide what -1 is for gzip: the default.
	hasLevel := level.set && (codec.text != "gzip" || level.number >= 0)
	compressor := b.block("transform", "compress")
	if onServer {
		compressor = b.block("server_compression")
	}
	compressor.setText("codec", codec)
	switch {
	case hasLevel && onServer:
		compressor.setNumber("level", level)
	case hasLevel:
		compressor.setText("level", level)
	}
	if workers.set && (onServer || workers.number > 0) {
		compressor.setNumber("workers", workers)
	}
	if onServer {
		source.add(compressor)
		return "tar", nil
	}
	return "tar", compressor
}

// wal makes the pipeline of WAL files.
func (b *builder) wal() *Block {
	v := b.v
	block := b.block("wal")
	archiver, streaming := v["archiver"], v["streaming_archiver"]
	if !archiver.truth && !streaming.truth {
		if !v["primary_ssh_command"].set { // a passive node has WAL another way
			b.doubt("archiver", `Neither "archiver" nor "streaming_archiver" is on: "archiver" is on all the same, for without WAL no backup can be recovered.`)
		}
		archiver.truth = true
	}
	block.setTruth("archive", archiver)
	for _, o := range []struct{ option, setting string }{
		{"archiver_batch_size", "incoming_batch_size"}, {"streaming_archiver_batch_size", "streaming_batch_size"}, {"max_incoming_wals_queue", "maximum_queue"},
	} {
		if !v.given(o.option) {
			continue
		}
		n := v[o.option]
		n.number = max(n.number, 0)
		block.setNumber(o.setting, n)
	}
	if streaming.truth {
		source := b.block("source", "pgreceivewal")
		if !v["slot_name"].set && !archiver.truth {
			b.problem("streaming_archiver", "Missing option", `WAL that is only streamed needs a "slot_name", so that none is missed.`)
		}
		for _, o := range []struct{ option, setting string }{
			{"slot_name", "slot"}, {"create_slot", "create_slot"}, {"streaming_archiver_name", "application_name"},
		} {
			if v.given(o.option) {
				source.setText(o.setting, v[o.option])
			}
		}
		block.add(source)
	}
	block.add(b.compressedWAL())
	return block
}

// compressedWAL makes the transform that compresses WAL, or that only knows how to
// read what a command of the user's has compressed.
func (b *builder) compressedWAL() *Block {
	v := b.v
	codec, filter, magic := v["compression"], v["custom_decompression_filter"], v["custom_compression_magic"]
	custom := codec.text == "custom"
	if !codec.set && !(filter.set && magic.set) {
		if filter.set && v["custom_decompression_filter"].own {
			b.doubt("custom_decompression_filter", `"custom_decompression_filter" has no effect without "compression = custom" or "custom_compression_magic".`)
		}
		return nil
	}
	block := b.block("transform", "compress")
	if codec.set {
		block.set("codec", codec, cty.StringVal(strings.TrimPrefix(codec.text, "py")))
	} else {
		block.set("codec", filter, cty.StringVal("none"))
	}
	if codec.set && !slices.Contains([]string{"custom", "snappy", "xz"}, codec.text) {
		block.setText("level", v["compression_level"])
	}
	if custom {
		if o := v["custom_compression_filter"]; o.set {
			block.set("filter", o, cty.StringVal(b.onPath(o.text)))
		}
	}
	if filter.set && (custom || magic.set) {
		block.set("decompression_filter", filter, cty.StringVal(b.onPath(filter.text)))
	}
	if magic.set && (custom || filter.set) {
		block.setText("magic", magic)
	}
	return block
}

// canonicalPolicy returns a retention policy as it is usually written.
func canonicalPolicy(text string) (string, error) {
	policy, err := retention.Parse(text)
	if err != nil {
		return "", err
	}
	return policy.String(), nil
}
