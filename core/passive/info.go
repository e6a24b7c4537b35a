package passive

import (
	"context"
	"encoding/json"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Position is how far a passive node has read the primary's index of WAL.
type Position struct {
	// Name is the last file that it has; empty for none.
	Name string
	// Offset is where the line of that file began; it need not be right any more.
	Offset int64
}

// Info is what a primary tells of a server.
type Info struct {
	LastPosition int64                     `json:"last_position"`
	LastName     string                    `json:"last_name"`
	Backups      map[string]map[string]any `json:"backups"`
	WALs         []WALFile                 `json:"wals"`
	Version      string                    `json:"version"`
	Config       map[string]any            `json:"config"`
}

// WALFile is a file of the archive.
type WALFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Time is when PostgreSQL last wrote the file, in seconds since 1970.
	Time json.Number `json:"time"`
	// Compression is the name of the algorithm; nil for none.
	Compression *string `json:"compression"`
	Encryption  *string `json:"encryption,omitempty"`
}

// Collect tells what this Barman has of a server: its complete backups, and the
// WAL behind a position. Without one, WAL begins with that of the oldest backup.
// config is what holds for the server, by the names of Barman in Python. A
// position that this archive does not lead on from is an error of kind NotFound.
func Collect(ctx context.Context, s *server.Server, after Position, config map[string]any) (Info, error) {
	info := Info{Backups: map[string]map[string]any{}, WALs: []WALFile{}, Version: version.Version, Config: config}
	oldest := ""
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return info, err
		}
		b := entry.Backup
		if b == nil || !b.State.CopyDone() {
			continue
		}
		document, err := b.Document()
		if err != nil {
			return info, err
		}
		// Older releases of Barman in Python refuse the keys of times by ISO 8601, which
		// newer ones prefer because the others have no zone. All read such times under the
		// older keys.
		for _, key := range []string{"begin_time", "end_time"} {
			if iso, found := document[key+"_iso"]; found {
				document[key] = iso
				delete(document, key+"_iso")
			}
		}
		info.Backups[string(b.ID)] = document
		if oldest == "" {
			oldest = b.BeginWAL
		}
	}
	if after.Name != "" {
		if _, err := wal.ParseName(after.Name); err != nil {
			return info, sdk.Errorf(sdk.Invalid, "last WAL file %q: %w", after.Name, err)
		}
	}
	return info, info.collectWAL(ctx, s, after, oldest)
}

// collectWAL adds the WAL behind a position.
func (i *Info) collectWAL(ctx context.Context, s *server.Server, after Position, oldest string) error {
	if err := s.Catalogue.EnsureIndex(ctx); err != nil {
		return err
	}
	first, newest, passed := "", "", after.Name == ""
	offset := after.Offset
	if after.Name == "" {
		offset = -1
	}
	for record, err := range s.Catalogue.PlacedRecords(offset, after.Name) {
		if err != nil {
			s.Logger.Warn("a line of the index is passed over", "error", err)
			continue
		}
		name := record.Name.String()
		if first == "" {
			first = name
		}
		newest = max(newest, name)
		i.LastName, i.LastPosition = name, record.Offset
		switch {
		case name == after.Name && record.Offset == after.Offset:
			passed = true // what follows came later, whatever its name
		case after.Name == "":
			if oldest != "" && (name >= oldest || record.Name.Kind == wal.KindHistory) {
				i.WALs = append(i.WALs, walFile(record.WALRecord))
			}
		case passed && first == after.Name || name > after.Name:
			i.WALs = append(i.WALs, walFile(record.WALRecord))
		}
	}
	switch {
	case after.Name == "" || passed:
		return nil
	case newest == "" || after.Name > newest:
		return sdk.Errorf(sdk.NotFound, "last_wal '%s' is newer than the last available wal  '%s'", after.Name, newest)
	case after.Name < first:
		return sdk.Errorf(sdk.NotFound, "last_wal '%s' is older than the first available wal '%s'", after.Name, first)
	}
	return nil
}

func walFile(r catalogue.WALRecord) WALFile {
	f := WALFile{Name: r.Name.String(), Size: r.Size, Time: json.Number(catalogue.Seconds(r.ModTime))}
	if r.Compression != "" {
		f.Compression = &r.Compression
	}
	if r.Encryption != "" {
		f.Encryption = &r.Encryption
	}
	return f
}
