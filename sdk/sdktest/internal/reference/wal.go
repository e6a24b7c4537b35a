package reference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// WAL receives made-up WAL: the file "wal" in the server's directory tells how
// many segments the server has finished.
type WAL struct{ Server sdk.Server }

// Advance makes the made-up server finish one more segment.
func Advance(serverDirectory string) error {
	n, err := finished(serverDirectory)
	if err != nil {
		return err
	}
	file := filepath.Join(serverDirectory, "wal")
	if err := os.WriteFile(file+".new", []byte(strconv.Itoa(n+1)), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func finished(serverDirectory string) (int, error) {
	b, err := os.ReadFile(filepath.Join(serverDirectory, "wal"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// Receive receives.
func (w WAL) Receive(ctx context.Context, req sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	if w.Server.Conninfo.Reveal() == "unreachable" {
		return sdk.Errorf(sdk.Unavailable, "server %s does not answer", w.Server.Name)
	}
	next, err := w.Next(req.Directory)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		have, err := finished(w.Server.Directory)
		if err != nil {
			return err
		}
		for ; next < have; next++ {
			if err := Keep(req, next); err != nil {
				return err
			}
			report(Progress(req, next))
		}
		if err := os.WriteFile(filepath.Join(req.Directory, Segment(next)+".partial"), nil, 0o600); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Segment is the name of the n-th segment.
func Segment(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

// Progress is what is reported when the n-th segment is kept.
func Progress(req sdk.ReceiveRequest, n int) sdk.WALProgress {
	return sdk.WALProgress{Timeline: 1, Flushed: wal.LSN((n + 1) * int(req.SegmentSize)), Finished: Segment(n)}
}

// Next is the number of the first segment that the directory does not have; the
// server's next one when it has none.
func (w WAL) Next(directory string) (int, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return 0, err
	}
	next := -1
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(strings.TrimSuffix(e.Name(), ".partial"), "0000000100000000%08X", &n); err != nil {
			continue
		}
		if !strings.HasSuffix(e.Name(), ".partial") {
			n++
		}
		next = max(next, n)
	}
	if next >= 0 {
		return next, nil
	}
	return finished(w.Server.Directory)
}

// Keep stores the n-th segment.
func Keep(req sdk.ReceiveRequest, n int) error {
	partial := filepath.Join(req.Directory, Segment(n)+".partial")
	if err := os.WriteFile(partial, make([]byte, req.SegmentSize), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, filepath.Join(req.Directory, Segment(n)))
}
