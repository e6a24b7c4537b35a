package backup

import (
	"fmt"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Describe fills in what is known of a backup before its copy begins.
func Describe(b *catalogue.Backup, f postgres.Facts) {
	b.SystemID, b.Version, b.SegmentSize = f.SystemID, f.VersionNum, f.SegmentSize
	b.PGData, b.ConfigFile, b.HBAFile, b.IdentFile, b.IncludedFiles = f.DataDirectory, f.ConfigFile, f.HBAFile, f.IdentFile, f.IncludedFiles
	if f.Timeline != 0 {
		// Until the source tells where it begins.
		b.Timeline, b.BeginLSN = f.Timeline, f.LSN
		offset := int64(f.SegmentSize.Offset(f.LSN))
		b.BeginWAL, b.BeginOffset = f.CurrentWAL(), &offset
	}
	for _, t := range f.Tablespaces {
		b.Tablespaces = append(b.Tablespaces, catalogue.Tablespace{Name: t.Name, OID: t.OID, Location: t.Location})
	}
}

// Conclude fills in what the source reported of a copy that is complete.
func Conclude(b *catalogue.Backup, result sdk.BackupResult) {
	b.Timeline, b.BeginLSN, b.EndLSN, b.Label = result.Timeline, result.BeginLSN, result.EndLSN, result.Label
	b.EndTime = result.EndTime
	if b.EndTime.IsZero() {
		b.EndTime = time.Now()
	}
	if !result.BeginTime.IsZero() {
		b.BeginTime = result.BeginTime
	}
	begin := wal.SegmentAt(b.Timeline, b.BeginLSN, b.SegmentSize)
	// A backup that ends on a segment's boundary needs nothing of the segment
	// that begins there.
	end := wal.SegmentAt(b.Timeline, b.EndLSN-1, b.SegmentSize)
	beginOffset, endOffset := int64(b.SegmentSize.Offset(b.BeginLSN)), int64(b.SegmentSize.Offset(b.EndLSN))
	b.BeginWAL, b.EndWAL, b.BeginOffset, b.EndOffset = begin.Name(b.SegmentSize), end.Name(b.SegmentSize), &beginOffset, &endOffset
	b.Tablespaces = tablespaces(b.Tablespaces, result.Tablespaces)
}

// tablespaces keeps the names that SQL told for the tablespaces that the copy
// holds; one created in between has no name yet.
func tablespaces(known []catalogue.Tablespace, copied []sdk.Tablespace) []catalogue.Tablespace {
	var result []catalogue.Tablespace
	for _, c := range copied {
		t := catalogue.Tablespace{Name: fmt.Sprintf("tablespace_%d", c.OID), OID: c.OID, Location: c.Location}
		for _, k := range known {
			if k.OID == c.OID {
				t.Name = k.Name
			}
		}
		result = append(result, t)
	}
	return result
}

// Doubt returns what makes a copy worthless though every required stage did its
// work. source is the name of the plugin that reported the result.
func Doubt(source string, result sdk.BackupResult, f postgres.Facts) error {
	if result.Timeline == 0 || result.BeginLSN == 0 || result.EndLSN <= result.BeginLSN {
		return sdk.Errorf(sdk.Invalid, "source %q gave no usable positions of the backup: timeline %d, begin %s, end %s; the plugin is at fault",
			source, result.Timeline, result.BeginLSN, result.EndLSN)
	}
	if result.SystemID != f.SystemID {
		return sdk.Errorf(sdk.Invalid, "conninfo leads to the cluster with system identifier %s, the backup source to %s: both must be the same server",
			f.SystemID, result.SystemID)
	}
	return nil
}
