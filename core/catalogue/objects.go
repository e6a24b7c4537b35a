package catalogue

import "strings"

// BackupPrefix is what the names of a backup's objects begin with in every sink.
func BackupPrefix(id BackupID) string { return BackupsFolder + "/" + string(id) + "/" }

// InfoObject is the name of backup.info in a sink.
func InfoObject(id BackupID) string { return BackupPrefix(id) + infoName }

// ReceiptsObject is the name of a backup's receipts in a sink.
func ReceiptsObject(id BackupID) string { return BackupPrefix(id) + ReceiptsName }

// Describes tells of an object of a sink whether it describes a backup and is none
// of its data.
func Describes(object string) bool {
	rest, ours := strings.CutPrefix(object, BackupsFolder+"/")
	_, name, within := strings.Cut(rest, "/")
	if !ours || !within {
		return false
	}
	switch name {
	case infoName, WithdrawnName, ReceiptsName, annotationsName:
		return true
	}
	return strings.HasPrefix(name, annotationsName+"/")
}
