package hooks

import (
	"strconv"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Configured tells whether the server has hooks for an operation.
func Configured(s *server.Server, operation string) bool {
	for _, hook := range s.Config.Hooks {
		if hook.Event == string(sdk.PhasePre)+"_"+operation || hook.Event == string(sdk.PhasePost)+"_"+operation {
			return true
		}
	}
	return false
}

// ForBackup are the values of an operation's events that are about a backup; none
// without a hook for it, for they cost a look at all backups. Previous and next
// are the backups before and after it whose copies are complete.
func ForBackup(s *server.Server, operation string, b *catalogue.Backup) (map[string]string, error) {
	if !Configured(s, operation) {
		return nil, nil
	}
	values := map[string]string{
		"BACKUP_ID": string(b.ID), "BACKUP_DIR": s.Catalogue.Directory(b.ID), "STATUS": string(b.State),
		"PREVIOUS_ID": "", "NEXT_ID": "",
	}
	var err error
	if values["BACKUP_INFO_PATH"], err = s.Catalogue.InfoPath(b.ID); err != nil {
		return nil, err
	}
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return nil, err
		}
		if entry.Backup == nil || !entry.Backup.State.CopyDone() {
			continue
		}
		switch {
		case entry.ID < b.ID:
			values["PREVIOUS_ID"] = string(entry.ID)
		case entry.ID > b.ID && values["NEXT_ID"] == "":
			values["NEXT_ID"] = string(entry.ID)
		}
	}
	return values, nil
}

// ForWAL are the values of events that are about a WAL file, which is at a path
// and has been recorded, or would be, like this.
func ForWAL(path string, record catalogue.WALRecord) map[string]string {
	return map[string]string{
		"SEGMENT":     record.Name.String(),
		"FILE":        path,
		"SIZE":        strconv.FormatInt(record.Size, 10),
		"TIMESTAMP":   strconv.FormatFloat(float64(record.ModTime.UnixMicro())/1e6, 'f', -1, 64),
		"COMPRESSION": record.Compression,
	}
}
