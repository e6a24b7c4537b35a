package catalogue

import (
	"errors"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Resolve finds the backup that a user means: an ID, a shortcut such as latest
// or last-failed, or a backup's name. latest, oldest and names look at backups
// whose copy is complete; damaged ones are passed over, and mentioned when
// nothing else is found. Errors are of kind NotFound, or Invalid for a name
// that several backups have and for auto.
func (s *Server) Resolve(reference string) (*Backup, error) {
	if id := BackupID(reference); id.Valid() {
		return s.Get(id)
	}
	var entries []Entry
	for entry, err := range s.Entries() {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	b, err := Meant(reference, entries)
	if err != nil {
		return nil, s.wrap(err)
	}
	return b, nil
}

// Meant is Resolve among entries in ascending order of their IDs, for all
// references but IDs.
func Meant(reference string, entries []Entry) (*Backup, error) {
	match, last, err := matcher(reference)
	if err != nil {
		return nil, err
	}
	var found []*Backup
	var damage error
	for _, entry := range entries {
		if entry.Err != nil {
			damage = errors.Join(damage, entry.Err)
			continue
		}
		if match(entry.Backup) {
			found = append(found, entry.Backup)
		}
	}
	switch {
	case len(found) == 0 && damage != nil:
		return nil, sdk.Errorf(sdk.NotFound, "no backup is meant by %q; some cannot be read: %w", clip(reference), damage)
	case len(found) == 0:
		return nil, sdk.Errorf(sdk.NotFound, "no backup is meant by %q: list-backups shows which there are", clip(reference))
	case last:
		return found[len(found)-1], nil
	case isShortcut(reference) || len(found) == 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, b := range found {
		ids[i] = string(b.ID)
	}
	return nil, sdk.Errorf(sdk.Invalid, "%d backups are named %q, use one of their IDs: %s", len(found), reference, strings.Join(ids, ", "))
}

// matcher returns which backups a reference could mean, and whether it means
// the last of them.
func matcher(reference string) (match func(*Backup) bool, last bool, err error) {
	copyDone := func(b *Backup) bool { return b.State.CopyDone() }
	switch reference {
	case ShortcutLatest, ShortcutLast:
		return copyDone, true, nil
	case ShortcutOldest, ShortcutFirst:
		return copyDone, false, nil
	case ShortcutLastFailed:
		return func(b *Backup) bool { return b.State == StateFailed }, true, nil
	case ShortcutLatestFull, ShortcutLastFull:
		return func(b *Backup) bool { return b.State.CopyDone() && b.Full() }, true, nil
	case ShortcutAuto:
		return nil, false, sdk.Errorf(sdk.Invalid, "auto is for recover only, which chooses the backup by the recovery target")
	}
	if err := ValidBackupName(reference); err != nil {
		return nil, false, sdk.Errorf(sdk.KindOf(err), "no backup can be named so: %w", err)
	}
	return func(b *Backup) bool { return b.State.CopyDone() && b.Name == reference }, false, nil
}
