package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// Source receives WAL through the replication protocol.
type Source struct {
	server sdk.Server
	config *Config

	mu       sync.Mutex
	systemID string // of the server last received from
}

// Open makes the source; it does not touch the network.
func Open(_ context.Context, server sdk.Server, config *Config) (sdk.WALSource, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	return &Source{server: server, config: config}, nil
}

func (s *Source) conninfo() sdk.Secret {
	if s.config.Conninfo != "" {
		return s.config.Conninfo
	}
	return s.server.StreamingConninfo
}

// Receive receives WAL over one connection. See sdk.WALSource.
//
// It begins with the segment that follows the newest finished one in the
// directory, or with the unfinished one from its beginning; in a directory
// without WAL with the segment that holds the slot's restart position, and
// without a slot with the one that the server is writing.
func (s *Source) Receive(ctx context.Context, request sdk.ReceiveRequest, report func(sdk.WALProgress)) error {
	err := s.receive(ctx, request, report)
	if err == nil || ctx.Err() != nil && sdk.KindOf(err) == sdk.Cancelled {
		return nil
	}
	return sdk.Errorf(sdk.KindOf(err), "receive WAL of server %q: %w", s.server.Name, err)
}

func (s *Source) receive(ctx context.Context, request sdk.ReceiveRequest, report func(sdk.WALProgress)) (err error) {
	if !request.SegmentSize.Valid() {
		return sdk.Errorf(sdk.Invalid, "%d bytes is not a WAL segment size", request.SegmentSize)
	}
	dir, err := openDirectory(request.Directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	found, err := readTrace(dir.path, request.SegmentSize)
	if err != nil {
		return err
	}
	conn, err := replication.Connect(ctx, s.conninfo(), s.config.ApplicationName)
	if err != nil {
		return err
	}
	defer conn.Close()
	system, err := conn.Identify(ctx)
	if err != nil {
		return err
	}
	if err := s.checkServer(ctx, conn, system, found, request); err != nil {
		return err
	}
	at, err := s.begin(ctx, conn, system, found, request.SegmentSize)
	if err != nil {
		return err
	}
	at.directory = request.Directory
	if report == nil {
		report = func(sdk.WALProgress) {}
	}
	r := &receiver{
		dir: dir, size: request.SegmentSize, report: report, interval: s.config.StatusInterval, silence: s.config.ReceiverTimeout, synchronous: request.Synchronous,
		timeline: at.from.Timeline, written: at.from.Start(request.SegmentSize), flushed: at.from.Start(request.SegmentSize),
	}
	if s.config.Synchronous != nil {
		r.synchronous = *s.config.Synchronous
	}
	if err := s.startingHistory(ctx, conn, r); err != nil {
		return err
	}
	hclog.FromContext(ctx).Info("receive WAL", "server", s.server.Name, "timeline", int(r.timeline), "from", r.written.String(), "slot", s.config.Slot)
	stream, err := conn.Stream(ctx, s.command(r), replication.StreamOptions{
		Doing: "receive WAL",
		Advise: func(e *pgconn.PgError) (sdk.ErrorKind, string, bool) {
			at.from = wal.SegmentAt(r.timeline, r.written, r.size)
			return s.advise(e, at, r.current != nil)
		},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	r.stream = stream
	return r.follow(ctx, func() string { return s.command(r) })
}

// checkServer refuses a server that is not the one whose WAL is in the
// directory.
func (s *Source) checkServer(ctx context.Context, conn *replication.Conn, system replication.System, found trace, request sdk.ReceiveRequest) error {
	s.mu.Lock()
	known := s.systemID
	s.systemID = system.ID
	if known != "" {
		s.systemID = known
	}
	s.mu.Unlock()
	if found.systemID != 0 {
		known = strconv.FormatUint(found.systemID, 10)
	}
	if known != "" && known != system.ID {
		return sdk.Errorf(sdk.Invalid, "%s: its system identifier is %s, the WAL in %s is of %s: it is another server. "+
			"Correct the connection string, or start over with 'barman receive-wal --reset %s'", conn, system.ID, request.Directory, known, s.server.Name)
	}
	text, err := conn.Show(ctx, "wal_segment_size")
	if err != nil {
		return err
	}
	if size, err := parseSegmentSize(text); err != nil || size != request.SegmentSize {
		return sdk.Errorf(sdk.Invalid, "%s: its WAL segments have %s, not %d bytes", conn, text, request.SegmentSize)
	}
	return nil
}

// parseSegmentSize reads wal_segment_size as SHOW prints it: "16MB", "1GB".
func parseSegmentSize(text string) (wal.SegmentSize, error) {
	for unit, bytes := range map[string]int64{"MB": 1 << 20, "GB": 1 << 30} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(digits, 10, 32)
			return wal.SegmentSize(n * bytes), err
		}
	}
	return 0, fmt.Errorf("%q is not a segment size", text)
}

// begin decides where to begin.
func (s *Source) begin(ctx context.Context, conn *replication.Conn, system replication.System, found trace, size wal.SegmentSize) (place, error) {
	at := place{oldest: wal.SegmentAt(system.Timeline, system.Position, size), size: size}
	if s.config.Slot != "" {
		slot, _, err := s.prepareSlot(ctx, conn)
		if err != nil {
			return at, err
		}
		if slot.restart != 0 {
			at.oldest = wal.SegmentAt(cmp.Or(slot.timeline, system.Timeline), slot.restart, size)
		}
	}
	var err error
	switch {
	case !found.found:
		at.from = at.oldest
	case found.next.Timeline > system.Timeline:
		err = behind(ctx, conn, system, found.next)
	case found.next.Timeline < system.Timeline:
		at.from, err = s.afterFork(ctx, conn, system, found.next, size)
	case found.next.Start(size) > system.Position:
		err = sdk.Errorf(sdk.Unavailable, "%s: WAL was received up to %s, the server itself is only at %s: a standby may catch up; "+
			"if it cannot, this is not the server whose WAL is here: "+resetAndBackUpAgain, conn, found.next.Start(size), system.Position, s.server.Name)
	default:
		at.from = found.next
	}
	return at, err
}

// behind is the error of a server on an older timeline than what was received. One
// that recovers may get to that timeline yet.
func behind(ctx context.Context, conn *replication.Conn, system replication.System, next wal.Segment) error {
	recovers, err := conn.InRecovery(ctx)
	if err != nil {
		return err
	}
	kind, so := sdk.Invalid, "is it a server that was left behind by a failover?"
	if recovers {
		kind, so = sdk.Unavailable, "it is in recovery and may catch up"
	}
	return sdk.Errorf(kind, "%s: it is on timeline %d, the WAL received so far on timeline %d: %s", conn, system.Timeline, next.Timeline, so)
}

// afterFork decides where to begin on a server that has gone on to another
// timeline. Usually it has all that comes next on the old one, up to its end. A
// standby that was promoted before it had all that was received here has not:
// then receiving goes on where the new timeline begins, and what was received of
// the old one beyond that stays as it is.
func (s *Source) afterFork(ctx context.Context, conn *replication.Conn, system replication.System, next wal.Segment, size wal.SegmentSize) (wal.Segment, error) {
	rows, err := conn.Query(ctx, historyCommand(system.Timeline))
	if err != nil {
		return wal.Segment{}, err
	}
	content, err := parseHistory(system.Timeline, rows)
	if err != nil {
		return wal.Segment{}, err
	}
	history, err := wal.ParseHistory(bytes.NewReader(content))
	if err != nil {
		return wal.Segment{}, err
	}
	for i, ended := range history {
		if ended.Parent != next.Timeline {
			continue
		}
		if next.Start(size) <= ended.Switch {
			return next, nil
		}
		successor := system.Timeline
		if i+1 < len(history) {
			successor = history[i+1].Parent
		}
		hclog.FromContext(ctx).Warn("more WAL was received of a timeline than the server had when it left it: that server's last transactions are in the archive only",
			"server", s.server.Name, "timeline", int(next.Timeline), "received", next.Start(size).String(), "left", ended.Switch.String(), "next timeline", int(successor))
		return wal.SegmentAt(successor, ended.Switch, size), nil
	}
	return wal.Segment{}, sdk.Errorf(sdk.Invalid, "%s: it is on timeline %d, which does not descend from timeline %d, of which WAL was received: "+
		"is it another server, or was it restored from a backup? If it is right, "+resetAndBackUpAgain, conn, system.Timeline, next.Timeline, s.server.Name)
}

// startingHistory fetches the history file of the timeline that receiving
// begins on; later ones come as the timelines do.
func (s *Source) startingHistory(ctx context.Context, conn *replication.Conn, r *receiver) error {
	if r.timeline == 1 {
		return nil
	}
	rows, err := conn.Query(ctx, historyCommand(r.timeline))
	if err != nil {
		return err
	}
	return r.keepHistory(rows)
}

func historyCommand(timeline wal.Timeline) string {
	return fmt.Sprintf("TIMELINE_HISTORY %d", timeline)
}

func (s *Source) command(r *receiver) string {
	slot := ""
	if s.config.Slot != "" {
		slot = "SLOT " + replication.QuoteIdentifier(s.config.Slot) + " "
	}
	return fmt.Sprintf("START_REPLICATION %sPHYSICAL %s TIMELINE %d", slot, r.written, r.timeline)
}
