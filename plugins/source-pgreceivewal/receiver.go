package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// goodbye is how long an orderly end of the connection may take.
const goodbye = 5 * time.Second

// reportEvery is how often a report goes out that tells of no finished file. A
// synchronous receiver flushes hundreds of times a second, and a report is a
// message to another process.
const reportEvery = time.Second

// receiver writes a stream of WAL into a directory.
type receiver struct {
	stream      *replication.Stream
	dir         *walDirectory
	size        wal.SegmentSize
	report      func(sdk.WALProgress)
	interval    time.Duration
	silence     time.Duration
	synchronous bool

	timeline wal.Timeline
	written  wal.LSN // up to here WAL was written, and is expected from here
	flushed  wal.LSN // up to here it is durable
	current  *partial

	heard      time.Time // when the server last said something
	asked      bool      // to speak, since then
	bound      time.Time // of the next read
	reported   time.Time // when report was last called
	told       wal.LSN   // what it was told
	nextStatus time.Time
}

// follow receives timeline after timeline until ctx ends or something fails.
// What has come by then is durable when it returns.
func (r *receiver) follow(ctx context.Context, command func() string) (err error) {
	defer func() {
		if flushed := r.leaveSegment(); flushed != nil {
			err = errors.Join(err, flushed)
		}
		if r.told < r.flushed {
			r.tell("")
		}
	}()
	for {
		next, err := r.receiveTimeline(ctx)
		if err != nil || next == nil {
			return err
		}
		if err := r.switchTimeline(*next); err != nil {
			return err
		}
		if err := r.stream.Command(command()); err != nil {
			return err
		}
	}
}

// successor is the timeline that follows one that has ended.
type successor struct {
	timeline wal.Timeline
	start    wal.LSN
}

// receiveTimeline receives one timeline. Without a successor and without an
// error ctx has ended.
func (r *receiver) receiveTimeline(ctx context.Context) (*successor, error) {
	r.bound = time.Now().Add(r.silence)
	if err := r.stream.Await(r.bound); err != nil {
		return nil, err
	}
	kind, _, err := r.stream.Next()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, r.silent()
	case err != nil:
		return nil, err
	case kind == replication.RowDescription: // the timeline ended where receiving would begin
		return r.successor()
	case kind != replication.CopyBoth:
		return nil, sdk.Errorf(sdk.Unavailable, "the server answered to START_REPLICATION with a message of type %q", kind)
	}
	if err := r.openSegment(); err != nil { // leaves a trace of where receiving began
		return nil, err
	}
	r.heard = time.Now()
	if err := r.sendStatus(false); err != nil {
		return nil, err
	}
	r.tell("")
	for {
		kind, body, err := r.receive(ctx)
		if err == nil && kind == replication.CopyData {
			err = r.message(body)
		}
		switch {
		case err != nil && sdk.KindOf(err) != sdk.Cancelled:
			return nil, err
		case ctx.Err() != nil:
			return nil, r.end()
		case kind == replication.CopyDone:
			return r.endTimeline()
		case kind == replication.CommandComplete:
			return nil, sdk.Errorf(sdk.Unavailable, "the server shut down")
		case kind != replication.CopyData && kind != nothing:
			return nil, sdk.Errorf(sdk.Unavailable, "the server sent a message of type %q in the middle of the WAL", kind)
		}
	}
}

// nothing stands for no message: it was time for something else.
const nothing = byte(0)

// receive waits for the next message. Before it waits, it does what is due.
func (r *receiver) receive(ctx context.Context) (kind byte, body []byte, err error) {
	complete := r.stream.Complete()
	if now := time.Now(); !complete || !now.Before(r.nextStatus) {
		if err := r.due(now, !complete); err != nil {
			return 0, nil, err
		}
	}
	if !complete {
		patience := r.silence
		if !r.asked {
			patience /= 2
		}
		if err := r.await(earlier(r.nextStatus, r.heard.Add(patience))); err != nil {
			return 0, nil, err
		}
	}
	kind, _, err = r.stream.Next()
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		if time.Since(r.heard) >= r.silence {
			return 0, nil, r.silent()
		}
		return nothing, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	r.heard, r.asked = time.Now(), false
	for {
		body, err = r.stream.Body()
		if !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			return kind, body, err
		}
		// A message that has begun is waited for as long as the server may be silent.
		if time.Since(r.heard) >= r.silence {
			return 0, nil, r.silent()
		}
		if err := r.await(r.heard.Add(r.silence)); err != nil {
			return 0, nil, err
		}
	}
}

// await bounds how long the next reads may wait. A bound that is earlier stays:
// whoever meets it looks at the clock and waits again, and setting one for every
// message costs more than that.
func (r *receiver) await(until time.Time) error {
	if r.bound.After(time.Now()) && !r.bound.After(until) {
		return nil
	}
	r.bound = until
	return r.stream.Await(until)
}

// due flushes and reports when it is time, or, as a synchronous standby,
// whenever all that has come is written. A server that has long said nothing is
// asked to speak.
func (r *receiver) due(now time.Time, drained bool) error {
	ask := now.Sub(r.heard) >= r.silence/2
	switch {
	case !now.Before(r.nextStatus), ask && !r.asked:
		if err := r.flush(); err != nil {
			return err
		}
		r.asked = ask
		return r.sendStatus(ask)
	case drained && r.synchronous && r.flushed < r.written:
		if err := r.flush(); err != nil {
			return err
		}
		return r.sendStatus(false)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (r *receiver) silent() error {
	return sdk.Errorf(sdk.Unavailable, "the server said nothing for %s", r.silence)
}

// message handles one CopyData message (PostgreSQL manual, section 55.4).
func (r *receiver) message(body []byte) error {
	if len(body) == 0 {
		return sdk.Errorf(sdk.Unavailable, "the server sent an empty message")
	}
	switch body[0] {
	case pglogrepl.XLogDataByteID:
		data, err := pglogrepl.ParseXLogData(body[1:])
		if err != nil {
			return sdk.Errorf(sdk.Unavailable, "WAL message: %w", err)
		}
		return r.write(wal.LSN(data.WALStart), data.WALData)
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		keepalive, err := pglogrepl.ParsePrimaryKeepaliveMessage(body[1:])
		if err != nil {
			return sdk.Errorf(sdk.Unavailable, "keepalive message: %w", err)
		}
		if !keepalive.ReplyRequested {
			return nil
		}
		if err := r.flush(); err != nil {
			return err
		}
		return r.sendStatus(false)
	}
	return sdk.Errorf(sdk.Unavailable, "the server sent a copy message of the unknown type %q", body[0])
}

// write stores a piece of WAL, across as many segments as it spans.
func (r *receiver) write(start wal.LSN, data []byte) error {
	if start != r.written {
		return sdk.Errorf(sdk.Corrupt, "the server sent WAL from %s, expected from %s", start, r.written)
	}
	for len(data) > 0 {
		if err := r.openSegment(); err != nil {
			return err
		}
		offset := int64(r.size.Offset(r.written))
		n := min(int64(len(data)), int64(r.size)-offset)
		if err := r.current.write(data[:n], offset); err != nil {
			return err
		}
		r.written += wal.LSN(n)
		data = data[n:]
		if offset+n == int64(r.size) {
			if err := r.finishSegment(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *receiver) openSegment() error {
	if r.current != nil {
		return nil
	}
	opened, err := openPartial(r.dir, wal.SegmentAt(r.timeline, r.written, r.size), r.size)
	r.current = opened
	return err
}

func (r *receiver) finishSegment() error {
	done := r.current
	r.current = nil
	if err := done.finish(); err != nil {
		return err
	}
	r.flushed = r.written
	r.tell(done.name())
	return r.sendStatus(false)
}

// flush makes what was written durable.
func (r *receiver) flush() error {
	if r.current == nil || r.flushed == r.written {
		return nil
	}
	if err := r.current.sync(); err != nil {
		r.abandon()
		return err
	}
	r.flushed = r.written
	if time.Since(r.reported) >= reportEvery {
		r.tell("")
	}
	return nil
}

// tell reports what is durable, and the file that was finished, if one was.
func (r *receiver) tell(finished string) {
	r.report(sdk.WALProgress{Timeline: r.timeline, Flushed: r.flushed, Finished: finished})
	r.reported, r.told = time.Now(), r.flushed
}

// abandon lets go of a file that must not be synced again.
func (r *receiver) abandon() {
	_ = r.current.close()
	r.current = nil
}

// leaveSegment makes the unfinished segment durable and closes it.
func (r *receiver) leaveSegment() error {
	if r.current == nil {
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	closing := r.current
	r.current = nil
	return closing.close()
}

// sendStatus tells the server how far WAL was written and is durable. Applied
// it never is.
func (r *receiver) sendStatus(ask bool) error {
	r.nextStatus = time.Now().Add(r.interval)
	return r.stream.SendCopyData(statusUpdate(r.written, r.flushed, time.Now(), ask))
}

// end ends the connection in order: the server knows what is durable and goes
// on as if the receiver had never been there.
func (r *receiver) end() error {
	if err := r.leaveSegment(); err != nil {
		return err
	}
	if err := r.stream.Detach(goodbye); err != nil {
		return nil
	}
	// From here on all is said that matters; a connection that breaks now is no
	// error.
	if r.sendStatus(false) != nil || r.stream.SendCopyDone() != nil {
		return nil
	}
	for {
		if kind, _, err := r.stream.Next(); err != nil || kind == replication.Ready {
			return nil
		}
	}
}

// endTimeline agrees to the end of a timeline and learns what follows.
func (r *receiver) endTimeline() (*successor, error) {
	if err := r.leaveSegment(); err != nil {
		return nil, err
	}
	if err := r.sendStatus(false); err != nil {
		return nil, err
	}
	if err := r.stream.SendCopyDone(); err != nil {
		return nil, err
	}
	if err := r.stream.Await(time.Now().Add(r.silence)); err != nil {
		return nil, err
	}
	kind, _, err := r.stream.Next()
	if err != nil {
		return nil, err
	}
	if kind != replication.RowDescription {
		return nil, sdk.Errorf(sdk.Unavailable, "the server ended timeline %d without a successor", r.timeline)
	}
	return r.successor()
}

func (r *receiver) successor() (*successor, error) {
	rows, err := r.stream.RowsAfterDescription()
	if err != nil {
		return nil, err
	}
	next, err := parseSuccessor(rows)
	if err != nil {
		return nil, err
	}
	if next.timeline <= r.timeline {
		return nil, sdk.Errorf(sdk.Corrupt, "the server names timeline %d as the successor of timeline %d", next.timeline, r.timeline)
	}
	if next.start > r.written {
		return nil, sdk.Errorf(sdk.Corrupt, "timeline %d begins at %s, but timeline %d was received only up to %s", next.timeline, next.start, r.timeline, r.written)
	}
	return &next, r.stream.Finish()
}

func parseSuccessor(rows []replication.Row) (successor, error) {
	if len(rows) != 1 || len(rows[0]) != 2 {
		return successor{}, fmt.Errorf("next timeline: the server's answer has an unknown form")
	}
	timeline, err := replication.ParseTimeline(rows[0][0])
	if err != nil {
		return successor{}, err
	}
	start, err := wal.ParseLSN(rows[0][1])
	return successor{timeline, start}, err
}

// switchTimeline stores the history of the next timeline and goes to the
// beginning of the segment in which it begins. The unfinished segment of the
// old timeline stays as it is, unless nothing was written to it.
func (r *receiver) switchTimeline(next successor) error {
	old := wal.SegmentAt(r.timeline, r.written, r.size)
	empty := r.size.Offset(r.written) == 0
	if err := r.stream.Command(historyCommand(next.timeline)); err != nil {
		return err
	}
	rows, err := r.stream.Rows()
	if err != nil {
		return err
	}
	if err := r.stream.Finish(); err != nil {
		return err
	}
	r.timeline = next.timeline
	r.written = wal.SegmentAt(next.timeline, next.start, r.size).Start(r.size)
	r.flushed = r.written
	if err := r.keepHistory(rows); err != nil {
		return err
	}
	if err := r.openSegment(); err != nil {
		return err
	}
	if !empty {
		return nil
	}
	err = os.Remove(filepath.Join(r.dir.path, old.Name(r.size)+partialSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (r *receiver) keepHistory(rows []replication.Row) error {
	content, err := parseHistory(r.timeline, rows)
	if err != nil {
		return err
	}
	if err := storeHistory(r.dir, r.timeline, content); err != nil {
		return err
	}
	r.tell(historyName(r.timeline))
	return nil
}
