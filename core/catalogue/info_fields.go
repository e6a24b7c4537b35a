package catalogue

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/barman-go/barman/sdk/wal"
)

// nullText is how backup.info says that a value is not known.
const nullText = "None"

// infoField is one key of backup.info. Values are the text behind the equals
// sign; nullText never reaches parse.
type infoField struct {
	key string
	// optional keys are left out when null, unless the file that was read had them.
	optional bool
	parse    func(b *Backup, value string) error
	// format returns nullText when the value is not known.
	format func(b *Backup) (string, error)
}

// infoFields lists the keys in the order of the file. Those without optional
// are exactly what Barman 3.4 always writes; of the others it knows
// backup_name and snapshots_info.
var infoFields = sync.OnceValue(func() []infoField {
	return []infoField{
		labelField(),
		optional(textField("backup_name", func(b *Backup) *string { return &b.Name })),
		intField("begin_offset", func(b *Backup) **int64 { return &b.BeginOffset }),
		timeField("begin_time", func(b *Backup) *time.Time { return &b.BeginTime }),
		segmentField("begin_wal", func(b *Backup) *string { return &b.BeginWAL }),
		lsnField("begin_xlog", func(b *Backup) *wal.LSN { return &b.BeginLSN }),
		optional(childrenField()),
		optional(intField("cluster_size", func(b *Backup) **int64 { return &b.ClusterSize })),
		textField("compression", func(b *Backup) *string { return &b.Compression }),
		textField("config_file", func(b *Backup) *string { return &b.ConfigFile }),
		dictField("copy_stats", func(b *Backup) *Dict { return &b.CopyStats }),
		optional(textField("data_checksums", func(b *Backup) *string { return &b.DataChecksums })),
		intField("deduplicated_size", func(b *Backup) **int64 { return &b.DeduplicatedSize }),
		optional(textField("encryption", func(b *Backup) *string { return &b.Encryption })),
		intField("end_offset", func(b *Backup) **int64 { return &b.EndOffset }),
		timeField("end_time", func(b *Backup) *time.Time { return &b.EndTime }),
		segmentField("end_wal", func(b *Backup) *string { return &b.EndWAL }),
		lsnField("end_xlog", func(b *Backup) *wal.LSN { return &b.EndLSN }),
		textField("error", func(b *Backup) *string { return &b.Error }),
		textField("hba_file", func(b *Backup) *string { return &b.HBAFile }),
		textField("ident_file", func(b *Backup) *string { return &b.IdentFile }),
		includedFilesField(),
		textField("mode", func(b *Backup) *string { return &b.Mode }),
		optional(parentField()),
		textField("pgdata", func(b *Backup) *string { return &b.PGData }),
		textField("server_name", func(b *Backup) *string { return &b.Server }),
		intField("size", func(b *Backup) **int64 { return &b.Size }),
		optional(dictField("snapshots_info", func(b *Backup) *Dict { return &b.SnapshotsInfo })),
		stateField(),
		optional(textField("summarize_wal", func(b *Backup) *string { return &b.SummarizeWAL })),
		textField("systemid", func(b *Backup) *string { return &b.SystemID }),
		tablespacesField(),
		timelineField(),
		versionField(),
		segmentSizeField(),
	}
})

func optional(f infoField) infoField {
	f.optional = true
	return f
}

// textField is raw text: one line, nothing escaped.
func textField(key string, at func(*Backup) *string) infoField {
	return infoField{key: key,
		parse: func(b *Backup, value string) error { *at(b) = value; return nil },
		format: func(b *Backup) (string, error) {
			switch s := *at(b); {
			case s == "":
				return nullText, nil
			case s == nullText, strings.ContainsAny(s, "\n\r\x00"), strings.TrimSpace(s) != s, strings.ToValidUTF8(s, "") != s:
				return "", fmt.Errorf("%q cannot be stored: expected one line of UTF-8 without white space around it", clip(s))
			default:
				return s, nil
			}
		}}
}

// maxBytes is more than anybody stores, and leaves room for sums.
const maxBytes = 1 << 60

func intField(key string, at func(*Backup) **int64) infoField {
	return infoField{key: key,
		parse: func(b *Backup, value string) error {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 || n > maxBytes {
				return fmt.Errorf("%q is not a number of bytes", clip(value))
			}
			*at(b) = &n
			return nil
		},
		format: func(b *Backup) (string, error) {
			n := *at(b)
			if n == nil {
				return nullText, nil
			}
			if *n < 0 || *n > maxBytes {
				return "", fmt.Errorf("%d is not a number of bytes", *n)
			}
			return strconv.FormatInt(*n, 10), nil
		}}
}

func timeField(key string, at func(*Backup) *time.Time) infoField {
	return infoField{key: key,
		parse: func(b *Backup, value string) (err error) { *at(b), err = parseTimestamp(value); return err },
		format: func(b *Backup) (string, error) {
			if t := *at(b); !t.IsZero() {
				return formatTimestamp(t), nil
			}
			return nullText, nil
		}}
}

// segmentField accepts the name of a segment and nothing else: names become paths.
func segmentField(key string, at func(*Backup) *string) infoField {
	check := func(name string) error {
		n, err := wal.ParseName(name)
		if err == nil && n.Kind != wal.KindSegment {
			err = fmt.Errorf("%q is a %s, not a WAL segment", name, n.Kind)
		}
		return err
	}
	return infoField{key: key,
		parse: func(b *Backup, value string) error { *at(b) = value; return check(value) },
		format: func(b *Backup) (string, error) {
			if name := *at(b); name != "" {
				return name, check(name)
			}
			return nullText, nil
		}}
}

func lsnField(key string, at func(*Backup) *wal.LSN) infoField {
	return infoField{key: key,
		parse: func(b *Backup, value string) (err error) { *at(b), err = wal.ParseLSN(value); return err },
		format: func(b *Backup) (string, error) {
			if lsn := *at(b); lsn != 0 {
				return lsn.String(), nil
			}
			return nullText, nil
		}}
}

func stateField() infoField {
	check := func(s State) error {
		if !s.Valid() {
			return fmt.Errorf("%q is not a backup's state", clip(string(s)))
		}
		return nil
	}
	return infoField{key: "status",
		parse:  func(b *Backup, value string) error { b.State = State(value); return check(b.State) },
		format: func(b *Backup) (string, error) { return string(b.State), check(b.State) }}
}

func timelineField() infoField {
	return infoField{key: "timeline",
		parse: func(b *Backup, value string) error {
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return fmt.Errorf("%q is not a timeline", clip(value))
			}
			b.Timeline = wal.Timeline(n)
			return nil
		},
		format: func(b *Backup) (string, error) {
			if b.Timeline == 0 {
				return nullText, nil
			}
			return strconv.FormatUint(uint64(b.Timeline), 10), nil
		}}
}

func versionField() infoField {
	return infoField{key: "version",
		parse: func(b *Backup, value string) error {
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n <= 0 {
				return fmt.Errorf("%q is not a PostgreSQL version number such as 150020", clip(value))
			}
			b.Version = int(n)
			return nil
		},
		format: func(b *Backup) (string, error) {
			if b.Version == 0 {
				return nullText, nil
			}
			return strconv.Itoa(b.Version), nil
		}}
}

func segmentSizeField() infoField {
	check := func(size wal.SegmentSize) error {
		if !size.Valid() {
			return fmt.Errorf("%d bytes is not a WAL segment size", size)
		}
		return nil
	}
	return infoField{key: "xlog_segment_size",
		parse: func(b *Backup, value string) error {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a WAL segment size", clip(value))
			}
			b.SegmentSize = wal.SegmentSize(n)
			return check(b.SegmentSize)
		},
		format: func(b *Backup) (string, error) {
			size := b.segmentSize()
			return strconv.FormatInt(int64(size), 10), check(size)
		}}
}

func parentField() infoField {
	return infoField{key: "parent_backup_id",
		parse: func(b *Backup, value string) (err error) { b.ParentID, err = ParseBackupID(value); return err },
		format: func(b *Backup) (string, error) {
			if b.ParentID == "" {
				return nullText, nil
			}
			id, err := ParseBackupID(string(b.ParentID))
			return string(id), err
		}}
}

// childrenField also understands what Barman makes of the list when it copies
// a catalogue to another host: its characters joined by commas.
func childrenField() infoField {
	return infoField{key: "children_backup_ids",
		parse: func(b *Backup, value string) error {
			b.ChildrenIDs = nil
			for id := range strings.SplitSeq(undoCharacterList(value), ",") {
				parsed, err := ParseBackupID(id)
				if err != nil {
					return err
				}
				b.ChildrenIDs = append(b.ChildrenIDs, parsed)
			}
			return nil
		},
		format: func(b *Backup) (string, error) {
			if len(b.ChildrenIDs) == 0 {
				return nullText, nil
			}
			ids := make([]string, len(b.ChildrenIDs))
			for i, id := range b.ChildrenIDs {
				if !id.Valid() {
					return "", fmt.Errorf("%q is not a backup ID", clip(string(id)))
				}
				ids[i] = string(id)
			}
			return strings.Join(ids, ","), nil
		}}
}

func undoCharacterList(s string) string {
	if len(s) < 2 || s[1] != ',' || len(s)%2 == 0 {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if i%2 == 0 {
			out.WriteByte(s[i])
		} else if s[i] != ',' {
			return s
		}
	}
	return out.String()
}
