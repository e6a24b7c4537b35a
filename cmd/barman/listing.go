package main

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// listing is what a server's catalogue holds.
type listing struct {
	// entries are the backups, newest first.
	entries []catalogue.Entry
	// wal tells of the WAL between the backups.
	wal map[catalogue.BackupID]catalogue.WALStatistics
	// verdicts are what the retention policy says of the backups.
	verdicts map[catalogue.BackupID]retention.Verdict
	// damage is what could not be read, as an error of kind Corrupt. The rest is
	// there nevertheless.
	damage error
}

// readListing reads the catalogue, after it marked as FAILED what killed
// processes left behind. That is a courtesy: who may only read the catalogue can
// still list it.
func readListing(s *server.Server) (listing, error) {
	if err := backup.Reap(s); err != nil {
		s.Logger.Warn("backups that a killed process left unfinished could not be marked as FAILED", "error", err)
	}
	var l listing
	var damage []error
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return l, err
		}
		if entry.Err != nil {
			damage = append(damage, entry.Err)
		}
		l.entries = append(l.entries, entry)
	}
	slices.SortFunc(l.entries, func(a, b catalogue.Entry) int { return cmp.Compare(b.ID, a.ID) })
	var err error
	if l.wal, err = s.Catalogue.WALStatistics(l.backups()); err != nil {
		if sdk.KindOf(err) != sdk.Corrupt {
			return l, err
		}
		damage = append(damage, err)
	}
	if l.verdicts, err = removal.Judge(s, time.Now()); err != nil {
		return l, err
	}
	l.damage = errors.Join(damage...)
	return l, nil
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
