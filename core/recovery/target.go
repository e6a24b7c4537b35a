package recovery

import (
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Target says where recovery stops (PostgreSQL manual, section 20.5.6). The
// zero Target is the end of the archive. At most one of Time, XID, LSN, Name and
// Immediate is set.
type Target struct {
	Time      *time.Time
	XID       string
	LSN       string
	Name      string
	Immediate bool
	// Timeline is a number, "current" or "latest"; empty leaves it to PostgreSQL.
	Timeline string
	// Exclusive stops just before the target rather than just after it.
	Exclusive bool
	// Action is what PostgreSQL does at the target: "pause", "shutdown" or
	// "promote"; empty leaves it to PostgreSQL, which pauses.
	Action string
}

// validate checks the target by itself.
func (t Target) validate() error {
	given := 0
	for _, set := range []bool{t.Time != nil, t.XID != "", t.LSN != "", t.Name != "", t.Immediate} {
		if set {
			given++
		}
	}
	switch {
	case given > 1:
		return sdk.Errorf(sdk.Invalid, "more than one recovery target: give one of time, xid, lsn, name and immediate")
	case t.Action != "" && given == 0:
		return sdk.Errorf(sdk.Invalid, "a target action needs a recovery target")
	case t.Action != "" && t.Action != "pause" && t.Action != "shutdown" && t.Action != "promote":
		return sdk.Errorf(sdk.Invalid, "target action %q: it is pause, shutdown or promote", t.Action)
	case t.Exclusive && t.Time == nil && t.XID == "" && t.LSN == "":
		return sdk.Errorf(sdk.Invalid, "exclusive needs a target time, xid or lsn")
	case len(t.Name) > 63 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' }):
		return sdk.Errorf(sdk.Invalid, "target name %q: a restore point's name has at most 63 bytes and no control characters", t.Name)
	}
	if t.XID != "" {
		if _, err := strconv.ParseUint(t.XID, 10, 64); err != nil {
			return sdk.Errorf(sdk.Invalid, "target xid %q is not a transaction ID", t.XID)
		}
	}
	if t.LSN != "" {
		if _, err := wal.ParseLSN(t.LSN); err != nil {
			return sdk.Errorf(sdk.Invalid, "target lsn %q: %w", t.LSN, err)
		}
	}
	return t.validateTimeline()
}

func (t Target) validateTimeline() error {
	switch t.Timeline {
	case "", "current", "latest":
		return nil
	}
	if n, err := strconv.ParseUint(t.Timeline, 10, 32); err != nil || n == 0 {
		return sdk.Errorf(sdk.Invalid, "target timeline %q: it is a number from 1, current or latest", t.Timeline)
	}
	return nil
}

// suits refuses what the backup's version of PostgreSQL does not know.
func (t Target) suits(b *catalogue.Backup) error {
	if t.LSN != "" && b.Version < version10 {
		return sdk.Errorf(sdk.Invalid, "PostgreSQL %d.%d knows no target lsn: that came with version 10", b.Version/10000, b.Version/100%100)
	}
	return nil
}

// usable tells whether the target does not lie before the end of the backup, as
// far as that can be known.
func (t Target) usable(b *catalogue.Backup) bool {
	if t.Time != nil && t.Time.Before(b.EndTime) {
		return false
	}
	if t.LSN == "" {
		return true
	}
	lsn, err := wal.ParseLSN(t.LSN)
	return err == nil && lsn >= b.EndLSN
}

func derefTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// formatTime writes a time as PostgreSQL and people read it.
func formatTime(t time.Time) string { return t.Format("2006-01-02 15:04:05.999999-07:00") }

// wanted is the part of the target that decides which WAL is needed.
func (t Target) wanted(s *server.Server, b *catalogue.Backup) (catalogue.WALTarget, error) {
	w := catalogue.WALTarget{Immediate: t.Immediate}
	if t.LSN != "" {
		lsn, err := wal.ParseLSN(t.LSN)
		if err != nil {
			return w, err
		}
		w.LSN = lsn
	}
	var err error
	switch t.Timeline {
	case "current":
		w.Timeline = b.Timeline
	case "", "latest":
		// PostgreSQL follows the latest timeline by default since version 12; before,
		// the copies of others do no harm.
		w.Timeline, err = s.Catalogue.LatestTimeline()
	default:
		n, parse := strconv.ParseUint(t.Timeline, 10, 32)
		w.Timeline, err = wal.Timeline(n), parse
	}
	return w, err
}
