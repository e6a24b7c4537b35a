package postgres

import (
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/barman-go/barman/sdk/wal"
)

// setting is one row of pg_settings: its value counts units of unit.
type setting struct{ value, unit string }

// settings are rows of pg_settings by name. Those that the user may not see,
// or that the server's version does not have, are absent.
type settings map[string]setting

func readSettings(results pgx.BatchResults) (settings, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	read := settings{}
	var name string
	var row setting
	_, err = pgx.ForEachRow(rows, []any{&name, &row.value, &row.unit}, func() error {
		read[name] = row
		return nil
	})
	return read, err
}

func (s settings) text(name string) string { return s[name].value }

func (s settings) number(name string) (int, error) {
	number, err := strconv.Atoi(s[name].value)
	if err != nil {
		return 0, fmt.Errorf("setting %s is %q, not a number", name, s[name].value)
	}
	return number, nil
}

// segmentSize is in bytes. PostgreSQL 10 counts wal_segment_size in WAL blocks,
// newer servers count bytes.
func (s settings) segmentSize() (wal.SegmentSize, error) {
	size, err := s.number("wal_segment_size")
	if err != nil {
		return 0, err
	}
	if s["wal_segment_size"].unit != "B" {
		block, err := s.number("wal_block_size")
		if err != nil {
			return 0, err
		}
		size *= block
	}
	if segment := wal.SegmentSize(size); segment.Valid() {
		return segment, nil
	}
	return 0, fmt.Errorf("the server's WAL segment size is %d bytes, which PostgreSQL does not allow", size)
}

// fill copies the settings into the facts.
func (f *Facts) fill(s settings) (err error) {
	for name, number := range map[string]*int{
		"server_version_num": &f.VersionNum, "block_size": &f.BlockSize, "max_wal_senders": &f.MaxWALSenders,
		"max_replication_slots": &f.MaxReplicationSlots,
	} {
		if *number, err = s.number(name); err != nil {
			return err
		}
	}
	if f.SegmentSize, err = s.segmentSize(); err != nil {
		return err
	}
	for name, text := range map[string]*string{
		"server_version": &f.Version, "data_checksums": &f.DataChecksums, "summarize_wal": &f.SummarizeWAL,
		"wal_level": &f.WALLevel, "archive_mode": &f.ArchiveMode, "archive_command": &f.ArchiveCommand,
		"archive_library": &f.ArchiveLibrary, "synchronous_standby_names": &f.SynchronousStandbyNames,
	} {
		*text = s.text(name)
	}
	for _, private := range []struct {
		name string
		path *string
	}{
		{"data_directory", &f.DataDirectory},
		{"config_file", &f.ConfigFile},
		{"hba_file", &f.HBAFile},
		{"ident_file", &f.IdentFile},
	} {
		if _, visible := s[private.name]; !visible {
			f.Unknown = append(f.Unknown, private.name)
		}
		*private.path = s.text(private.name)
	}
	return nil
}
