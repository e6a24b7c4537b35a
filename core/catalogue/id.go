package catalogue

import (
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
)

// BackupID names a backup: the local time of its beginning in the form
// 20060102T150405. The order of IDs is their order as text.
type BackupID string

const idLayout = "20060102T150405"

// NewBackupID returns the ID of a backup that begins at t; see Server.Create
// for one that is free.
func NewBackupID(t time.Time) BackupID { return BackupID(t.Local().Format(idLayout)) }

// ParseBackupID accepts eight digits, the letter T and six digits, and nothing
// else, so that an ID is always safe as a file name.
func ParseBackupID(s string) (BackupID, error) {
	id := BackupID(s)
	if !id.Valid() {
		return "", sdk.Errorf(sdk.Invalid, "%q is not a backup ID: expected the form 20060102T150405", clip(s))
	}
	return id, nil
}

// Valid reports whether the ID has the form of one.
func (id BackupID) Valid() bool {
	if len(id) != len(idLayout) || id[8] != 'T' {
		return false
	}
	for i := range len(id) {
		if i != 8 && (id[i] < '0' || id[i] > '9') {
			return false
		}
	}
	return true
}

// Backup shortcuts that Server.Resolve understands.
const (
	ShortcutLatest     = "latest"
	ShortcutLast       = "last"
	ShortcutOldest     = "oldest"
	ShortcutFirst      = "first"
	ShortcutLastFailed = "last-failed"
	ShortcutLatestFull = "latest-full"
	ShortcutLastFull   = "last-full"
	// ShortcutAuto lets a restore choose by its target; Resolve refuses it.
	ShortcutAuto = "auto"
)

func isShortcut(s string) bool {
	switch s {
	case ShortcutLatest, ShortcutLast, ShortcutOldest, ShortcutFirst, ShortcutLastFailed, ShortcutLatestFull, ShortcutLastFull, ShortcutAuto:
		return true
	}
	return false
}

// ValidBackupName returns an error unless name can be given to a backup: not
// empty, one line that neither begins nor ends with white space, no ID and no
// shortcut.
func ValidBackupName(name string) error {
	switch {
	case name == "":
		return sdk.Errorf(sdk.Invalid, "a backup name cannot be empty")
	case BackupID(name).Valid():
		return sdk.Errorf(sdk.Invalid, "backup name %q looks like a backup ID: choose another", name)
	case isShortcut(name):
		return sdk.Errorf(sdk.Invalid, "backup name %q is a reserved word: choose another", name)
	case len(name) > 1024, hasControl(name), strings.TrimSpace(name) != name, name == nullText:
		return sdk.Errorf(sdk.Invalid, "backup name %q cannot be stored: expected one line of at most 1024 bytes without white space around it", clip(name))
	}
	return nil
}
