package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/server"
)

// listing is what a server's catalogue holds.
type listing struct {
	// entries are the backups, newest first.
	entries []catalogue.Entry
	// wal tells of the WAL between the backups.
	wal map[catalogue.BackupID]catalogue.WALStatistics
	// verdicts are what the retention policy says of the backups.
	verdicts map[catalogue.BackupID]retention.Verdict
	// damage is what could not be read. The rest is there nevertheless; inaccurate is
	// the part of it without which what is told of readable backups is not right.
	damage, inaccurate error
	// warnings tell what is in the catalogue's directories, or missing there, and
	// should not be so.
	warnings []string
}

// readListing reads the catalogue, after it marked as FAILED what killed
// processes left behind. That is a courtesy: who may only read the catalogue can
// still list it.
func readListing(s *server.Server) (listing, error) {
	entries, err := readEntries(s)
	if err != nil {
		return listing{}, err
	}
	if slices.ContainsFunc(entries, func(e catalogue.Entry) bool { return e.Backup != nil && e.Backup.State.Unfinished() }) {
		if err := backup.Reap(s); err != nil {
			s.Logger.Warn("backups that a killed process left unfinished could not be marked as FAILED", "error", err)
		}
		if entries, err = readEntries(s); err != nil {
			return listing{}, err
		}
	}
	var l listing
	var unreadable []error
	for _, entry := range slices.Backward(entries) {
		l.entries = append(l.entries, entry)
		if entry.Err != nil {
			unreadable = append(unreadable, entry.Err)
		}
	}
	var errs [3]error
	var index sync.WaitGroup
	index.Go(func() { l.wal, errs[0] = s.Catalogue.WALStatistics(l.backups()) })
	l.verdicts, errs[1] = removal.Judge(s, entries, time.Now())
	l.warnings, errs[2] = doubts(s, entries)
	index.Wait()
	l.inaccurate = errors.Join(errs[:]...)
	l.damage = errors.Join(append(unreadable, errs[:]...)...)
	return l, nil
}

// doubts tells of complete backups whose data is gone, and of directories that
// belong to no backup.
func doubts(s *server.Server, entries []catalogue.Entry) ([]string, error) {
	var texts []string
	for _, entry := range entries {
		if entry.Backup == nil {
			continue
		}
		lost, err := removal.Lost(s, entry.Backup)
		if err != nil {
			return nil, err
		}
		if lost {
			texts = append(texts, fmt.Sprintf("the data of backup %s of server %s is not in %s: bring it back, or clear the backup away with 'barman delete'",
				entry.ID, s.Name(), s.Catalogue.Directory(entry.ID)))
		}
	}
	left, err := s.Catalogue.Leftovers()
	for _, id := range left.Strays {
		texts = append(texts, fmt.Sprintf("%s holds files, and no backup.info makes a backup of them: put it there, or remove the directory", s.Catalogue.Directory(id)))
	}
	return texts, err
}

// readEntries reads all backups, the oldest first.
func readEntries(s *server.Server) ([]catalogue.Entry, error) {
	var entries []catalogue.Entry
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// backups returns the readable ones, newest first.
func (l listing) backups() []*catalogue.Backup {
	var backups []*catalogue.Backup
	for _, entry := range l.entries {
		if entry.Backup != nil {
			backups = append(backups, entry.Backup)
		}
	}
	return backups
}

// neighbours returns the complete backups before and after one; empty is none.
func (l listing) neighbours(id catalogue.BackupID) (previous, next catalogue.BackupID) {
	for _, b := range l.backups() {
		switch {
		case !b.State.CopyDone():
		case b.ID > id:
			next = b.ID
		case b.ID < id:
			return b.ID, next
		}
	}
	return "", next
}

// chain returns the backups that one builds on, from the full one on, and itself.
// It begins later when one of them is missing.
func (l listing) chain(b *catalogue.Backup) []catalogue.BackupID {
	byID := map[catalogue.BackupID]*catalogue.Backup{}
	for _, other := range l.backups() {
		byID[other.ID] = other
	}
	ids := []catalogue.BackupID{b.ID}
	for b.ParentID != "" && b.ParentID < b.ID { // parents are older, whatever the file says
		ids = append(ids, b.ParentID)
		parent, found := byID[b.ParentID]
		if !found {
			break
		}
		b = parent
	}
	slices.Reverse(ids)
	return ids
}

// typeLetter is how lists show the type of a backup.
func typeLetter(t catalogue.Type) string {
	switch t {
	case catalogue.TypeRsync:
		return "R"
	case catalogue.TypeIncremental:
		return "I"
	case catalogue.TypeSnapshot:
		return "S"
	}
	return "F"
}

func sizeOf(bytes *int64) int64 {
	if bytes == nil {
		return 0
	}
	return *bytes
}
