package main

import (
	"strconv"
	"time"

	"github.com/barman-go/barman/core/catalogue"
)

// document has the keys of Barman 3.17's show-backup.
func (b shownBackup) document() map[string]any {
	shown := map[string]any{"backup_id": b.backup.ID, "backup_type": b.backup.Type(), "status": b.backup.State}
	set(shown, "backup_name", b.backup.Name)
	set(shown, "system_id", b.backup.SystemID)
	shown["server_information"] = b.serverDocument()
	if !b.backup.State.CopyDone() {
		set(shown, "error", b.backup.Error)
		return map[string]any{b.server: shown}
	}
	if b.backup.ClusterSize != nil {
		setSize(shown, "cluster_size", *b.backup.ClusterSize)
	}
	shown["postgresql_version"] = b.backup.Version
	shown["pgdata_directory"] = b.backup.PGData
	tablespaces := make([]map[string]any, 0, len(b.backup.Tablespaces))
	for _, t := range b.backup.Tablespaces {
		tablespaces = append(tablespaces, map[string]any{"name": t.Name, "location": t.Location, "oid": t.OID})
	}
	shown["tablespaces"] = tablespaces
	shown["base_backup_information"] = b.baseDocument()
	shown["wal_information"] = b.archiveDocument()
	shown["catalog_information"] = b.catalogueDocument()
	if len(b.sinks) > 0 {
		shown["sinks"] = b.sinks
	}
	if len(b.backup.SnapshotsInfo) > 0 {
		shown["snapshots_info"] = catalogue.JSONValue(b.backup.SnapshotsInfo)
	}
	return map[string]any{b.server: shown}
}

func (b shownBackup) catalogueDocument() map[string]any {
	document := map[string]any{
		"retention_policy": b.retentionText(), "previous_backup": b.previousText(), "next_backup": b.nextText(),
	}
	if b.backup.ParentID != "" {
		document["root_backup_id"], document["parent_backup_id"], document["chain_size"] = b.chain[0], b.backup.ParentID, len(b.chain)
	}
	if b.backup.Mode == catalogue.ModePostgres {
		document["children_backup_ids"] = b.children() // null for none
	}
	return document
}

func (b shownBackup) serverDocument() map[string]any {
	server := map[string]any{}
	set(server, "data_checksums", b.backup.DataChecksums)
	set(server, "summarize_wal", b.backup.SummarizeWAL)
	return server
}

func (b shownBackup) baseDocument() map[string]any {
	backup := b.backup
	base := map[string]any{
		"backup_method": orNull(backup.Mode), "encryption": orNull(backup.Encryption), "compression": orNull(backup.Compression),
		"timeline": backup.Timeline, "begin_wal": orNull(backup.BeginWAL), "end_wal": orNull(backup.EndWAL), "wal_num": b.wal.Count,
		"begin_offset": backup.BeginOffset, "end_offset": backup.EndOffset,
		"begin_lsn": backup.BeginLSN.String(), "end_lsn": backup.EndLSN.String(),
	}
	setSize(base, "backup_size", sizeOf(backup.Size))
	setSize(base, "backup_size_with_wals", sizeOf(backup.Size)+b.wal.Size)
	setSize(base, "wal_size", b.wal.Size)
	setTime(base, "begin_time", backup.BeginTime)
	setTime(base, "end_time", backup.EndTime)
	set(base, "wal_compression_ratio", percent(b.wal.CompressionRatio()))
	if saved, ok := b.saved(); ok {
		setSize(base, "resources_saved", saved)
		base["resources_saved_percentage"] = b.savedPart(saved)
	}
	if d, known := b.copyTime(); known {
		base["copy_time"], base["copy_time_seconds"] = catalogue.PrettyDuration(d), d.Seconds()
		startup := b.analysisTime()
		base["analysis_time"], base["analysis_time_seconds"] = catalogue.PrettyDuration(startup), startup.Seconds()
		base["number_of_workers"] = b.workers()
	}
	if rate, ok := b.throughput(); ok {
		base["throughput"], base["throughput_bytes"] = catalogue.PrettySize(int64(rate))+"/s", rate
	}
	return base
}

// archiveDocument has every key whatever is known, with a number where there is
// no text to print, as Python Barman has it.
func (b shownBackup) archiveDocument() map[string]any {
	archive := map[string]any{
		"no_of_files": b.wal.UntilNextCount, "compression_ratio": 0, "last_available": orNull(b.wal.Last),
		"wal_rate": 0, "wal_rate_per_second": 0, "timelines": []string{},
	}
	setSize(archive, "disk_usage", b.wal.UntilNextSize)
	set(archive, "compression_ratio", percent(b.wal.UntilNextCompressionRatio()))
	if rate := walRate(b.wal); rate != "" {
		archive["wal_rate"], archive["wal_rate_per_second"] = rate, b.wal.PerSecond()
	}
	if len(b.timelines) > 0 {
		archive["timelines"], archive["_WARNING"] = b.reachable(), severalTimelines
	}
	return archive
}

// set sets what is there.
func set(object map[string]any, key, value string) {
	if value != "" {
		object[key] = value
	}
}

func orNull(value string) any {
	if value == "" {
		return nil
	}
	return value
}

// setSize sets a size for people and in bytes.
func setSize(object map[string]any, key string, bytes int64) {
	object[key], object[key+"_bytes"] = catalogue.PrettySize(bytes), bytes
}

// setTime sets a moment as backup.info has it and in seconds since 1970.
func setTime(object map[string]any, key string, t time.Time) {
	object[key], object[key+"_timestamp"] = orNull(timestamp(t)), strconv.FormatInt(t.Unix(), 10)
}
