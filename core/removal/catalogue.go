package removal

import (
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/server"
)

// stock is all that the catalogue knows of a server's backups.
type stock struct {
	backups []known // in ascending order of their IDs
	damaged []catalogue.Entry
}

// known is a backup and what was noted of it.
type known struct {
	*catalogue.Backup
	keep     string
	deleting bool
	// lost is true of a backup that is listed as complete and whose data is gone.
	lost bool
}

func take(s *server.Server) (stock, error) {
	var entries []catalogue.Entry
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return stock{}, err
		}
		entries = append(entries, entry)
	}
	return annotated(s, entries)
}

// annotated adds to the backups, in ascending order of their IDs, what was noted
// of them.
func annotated(s *server.Server, entries []catalogue.Entry) (stock, error) {
	var all stock
	for _, entry := range entries {
		if entry.Backup == nil {
			all.damaged = append(all.damaged, entry)
			continue
		}
		keep, err := s.Catalogue.Annotation(entry.ID, catalogue.AnnotationKeep)
		if err != nil {
			return stock{}, err
		}
		begun, err := s.Catalogue.Annotation(entry.ID, catalogue.AnnotationDelete)
		if err != nil {
			return stock{}, err
		}
		lost, err := Lost(s, entry.Backup)
		if err != nil {
			return stock{}, err
		}
		all.backups = append(all.backups, known{Backup: entry.Backup, keep: keep, deleting: begun != "", lost: lost})
	}
	return all, nil
}

// Lost tells whether a backup is listed as complete though its data is gone: a
// deletion by Barman in Python may have been interrupted, or somebody has removed
// its directory, and no other sink has it. It counts for nothing, and deleting it
// clears it away.
func Lost(s *server.Server, b *catalogue.Backup) (bool, error) {
	if !b.State.CopyDone() || s.BackupsStoredElsewhere() {
		return false, nil
	}
	has, err := s.Catalogue.HasPayload(b)
	if has || err != nil {
		return false, err
	}
	for _, sink := range s.BackupSinks() {
		if held, err := s.Catalogue.Held(sink.Label, b.ID); held || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (a stock) find(id catalogue.BackupID) (known, bool) {
	i := slices.IndexFunc(a.backups, func(b known) bool { return b.ID == id })
	if i < 0 {
		return known{}, false
	}
	return a.backups[i], true
}

// without are all backups but one.
func (a stock) without(id catalogue.BackupID) []catalogue.Remaining {
	var others []catalogue.Remaining
	for _, b := range a.backups {
		if b.ID != id {
			others = append(others, catalogue.Remaining{Backup: b.Backup, Keep: b.keep})
		}
	}
	return others
}

// remove forgets a backup.
func (a *stock) remove(id catalogue.BackupID) {
	a.backups = slices.DeleteFunc(a.backups, func(b known) bool { return b.ID == id })
}

// withDescendants are a backup and all that build on it, in the order in which
// they can be deleted.
func (a stock) withDescendants(b known) []known {
	var order []known
	for _, other := range a.backups {
		if other.ParentID == b.ID && other.ID > b.ID {
			order = append(order, a.withDescendants(other)...)
		}
	}
	return append(order, b)
}

// root is the full backup that an incremental one builds on; empty for others,
// and when a backup in between is missing.
func (a stock) root(b known) catalogue.BackupID {
	at := b
	for at.ParentID != "" && at.ParentID < at.ID {
		parent, found := a.find(at.ParentID)
		if !found {
			return at.ParentID
		}
		at = parent
	}
	if at.ID == b.ID {
		return ""
	}
	return at.ID
}

// judged are the backups as a policy sees them.
func (a stock) judged() []retention.Backup {
	var all []retention.Backup
	for _, b := range a.backups {
		all = append(all, retention.Backup{
			ID: string(b.ID), Done: b.good(), End: b.EndTime, Keep: retention.Keep(b.keep), Root: string(a.root(b)),
		})
	}
	return all
}

// redundant counts the backups that minimum_redundancy is about.
func (a stock) redundant() int {
	n := 0
	for _, b := range a.backups {
		if counts(b) {
			n++
		}
	}
	return n
}

func counts(b known) bool { return b.good() && b.ParentID == "" }

// good tells whether the backup is complete and will stay so.
func (b known) good() bool { return b.State == catalogue.StateDone && !b.lost && !b.deleting }

// unfinished tells whether the deletion of a backup has begun, and is to be
// finished without being asked to. Barman in Python marks a backup before it asks
// its hooks, so that one that is still DONE may be one whose deletion was vetoed:
// it is left alone without a policy that says otherwise, as Barman does.
func (b known) unfinished(policy retention.Policy) bool {
	return b.deleting && (b.State != catalogue.StateDone || !policy.IsZero())
}
