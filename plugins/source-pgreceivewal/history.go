package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

func historyName(timeline wal.Timeline) string { return timeline.String() + ".history" }

// parseHistory takes the answer to TIMELINE_HISTORY: a file name and the
// file's content.
func parseHistory(timeline wal.Timeline, rows []replication.Row) ([]byte, error) {
	if len(rows) != 1 || len(rows[0]) != 2 || rows[0][0] != historyName(timeline) {
		return nil, fmt.Errorf("history of timeline %d: the server's answer has an unknown form", timeline)
	}
	content := []byte(rows[0][1])
	if _, err := wal.ParseHistory(bytes.NewReader(content)); err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "history of timeline %d: %w", timeline, err)
	}
	return content, nil
}

// storeHistory writes a history file durably. One that is there already must
// be the same.
func storeHistory(dir *walDirectory, timeline wal.Timeline, content []byte) error {
	path := filepath.Join(dir.path, historyName(timeline))
	known, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(known, content):
		return nil
	case err == nil:
		return sdk.Errorf(sdk.Corrupt, "%s differs from the server's history of timeline %d: the server is not the one whose WAL is here", path, timeline)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read %s: %w", path, err)
	}
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", temporary, outOfSpace(err))
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", temporary, outOfSpace(err))
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return dir.sync()
}
