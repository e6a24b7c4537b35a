package catalogue

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Process is a running task of a server, known by the lock it holds.
type Process struct {
	// Task is the lock's name, such as LockBackup or "sync-backup".
	Task string
	// Backup is the backup a "sync-backup" is about.
	Backup BackupID
	PID    int
}

// Lock is the name of the lock that the process holds.
func (p Process) Lock() string {
	if p.Backup != "" {
		return string(p.Backup) + syncBackupSuffix
	}
	return p.Task
}

const syncBackupSuffix = "-sync-backup"

// LockSyncBackup is the name of the lock that is held while a backup is copied
// from another Barman.
func LockSyncBackup(id BackupID) string { return string(id) + syncBackupSuffix }

// Tasks are the names that Processes knows.
func Tasks() []string {
	return []string{LockReceiveWAL, syncBackupSuffix[1:], LockBackup, LockCron, LockArchiveWAL, LockSyncWAL}
}

// Processes returns the tasks whose locks are held now. A lock file that names
// no process is left out and reported in the error, beside the others.
func (s *Server) Processes() ([]Process, error) {
	names, err := readNames(s.layout.LockDirectory)
	if err != nil {
		return nil, s.wrap(err)
	}
	var processes []Process
	var damage error
	for _, file := range names {
		name, ok := s.lockName(file)
		if !ok {
			continue
		}
		p, ok := processOf(name)
		if !ok {
			continue
		}
		pid, held, err := s.Holder(name)
		if err != nil {
			damage = errors.Join(damage, err)
			continue
		}
		if held {
			p.PID = pid
			processes = append(processes, p)
		}
	}
	return processes, damage
}

// lockName returns the lock that a file of the lock directory is. A server's
// name may be the beginning of another's, so what is left still has to be the
// name of a lock.
func (s *Server) lockName(file string) (string, bool) {
	name, ok := strings.CutPrefix(file, "."+s.layout.Name+"-")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, ".lock")
}

// NotSyncing returns an error of kind Busy while a backup is being copied from
// another Barman.
func (s *Server) NotSyncing(id BackupID) error {
	name := string(id) + syncBackupSuffix
	_, held, err := s.Holder(name)
	if err != nil && !held {
		return err
	}
	if !held {
		return nil
	}
	path, err := s.lockPath(name)
	if err != nil {
		return err
	}
	return s.busy(name, path)
}

func processOf(name string) (Process, bool) {
	switch name {
	case LockCron, LockBackup, LockArchiveWAL, LockReceiveWAL, LockSyncWAL:
		return Process{Task: name}, true
	}
	id, ok := strings.CutSuffix(name, syncBackupSuffix)
	if !ok || !BackupID(id).Valid() {
		return Process{}, false
	}
	return Process{Task: syncBackupSuffix[1:], Backup: BackupID(id)}, true
}

// RemoveStaleLocks removes the lock files of a directory that nobody holds and
// returns how many it removed. Files in use, and those it may not open, stay.
func RemoveStaleLocks(directory string) (int, error) {
	names, err := readNames(directory)
	if err != nil {
		return 0, err
	}
	removed := 0
	var failed error
	for _, name := range names {
		if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".lock") {
			continue
		}
		ok, err := removeStaleLock(filepath.Join(directory, name))
		if err != nil {
			failed = errors.Join(failed, sdk.Errorf(kindOf(err), "remove stale lock: %w", err))
		}
		if ok {
			removed++
		}
	}
	return removed, failed
}
