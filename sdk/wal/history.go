package wal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// HistoryEntry is one line of a timeline history file: the timeline's ancestor
// ended, and its successor began, at Switch.
type HistoryEntry struct {
	Parent Timeline
	Switch LSN
	Reason string
}

// A history grows by one line at each promotion: these limits are generous and
// keep a file that is something else from filling the memory.
const (
	maxHistoryLine    = 64 << 10
	maxHistoryEntries = 100_000
)

// ParseHistory reads a timeline history file (PostgreSQL manual, section
// 26.3.6): lines of parent timeline (decimal), switch position and reason,
// separated by tabs; blank lines and those that begin with # are comments. The
// entries are in the order of the file, oldest first, and their timelines must
// ascend. A file without entries is an error: timeline 1 has no history file.
func ParseHistory(r io.Reader) ([]HistoryEntry, error) {
	var entries []HistoryEntry
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxHistoryLine)
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimLeft(strings.TrimRight(lines.Text(), "\r"), " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := parseHistoryLine(line)
		if err != nil {
			return nil, fmt.Errorf("timeline history, line %d: %w", number, err)
		}
		if n := len(entries); n > 0 && entry.Parent <= entries[n-1].Parent {
			return nil, fmt.Errorf("timeline history, line %d: timeline %d does not come after timeline %d", number, entry.Parent, entries[n-1].Parent)
		}
		if len(entries) == maxHistoryEntries {
			return nil, fmt.Errorf("timeline history has more than %d entries", maxHistoryEntries)
		}
		entries = append(entries, entry)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("timeline history, line %d: longer than %d bytes", number+1, maxHistoryLine)
		}
		return nil, fmt.Errorf("read timeline history: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("timeline history has no entries")
	}
	return entries, nil
}

func parseHistoryLine(line string) (HistoryEntry, error) {
	columns := strings.SplitN(line, "\t", 3) // a restore point's name may hold a tab
	if len(columns) != 3 {
		return HistoryEntry{}, fmt.Errorf("%q does not have three columns separated by tabs", clip(line))
	}
	parent, err := strconv.ParseUint(columns[0], 10, 32)
	if err != nil || parent == 0 {
		return HistoryEntry{}, fmt.Errorf("%q is not a timeline", clip(columns[0]))
	}
	lsn, err := ParseLSN(columns[1])
	if err != nil {
		return HistoryEntry{}, err
	}
	return HistoryEntry{Parent: Timeline(parent), Switch: lsn, Reason: columns[2]}, nil
}
