package pgtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Writer inserts rows 1, 2, 3 … into a table, one committed after the other, until it is stopped. It is the only writer of
// its table, so "the rows up to a moment" is exactly 1 to n.
type Writer struct {
	t     testing.TB
	table string
	marks chan mark
	stop  context.CancelFunc
	done  chan struct{}
	mu    sync.Mutex
	last  int64 // number of the last row whose commit was acknowledged
	err   error // why it ended; written before done is closed
}

// WriterOptions say where to write and how fast. The zero value writes table "written" about a thousand times a second.
type WriterOptions struct {
	Table      string
	Tablespace string
	Every      time.Duration // pause between two rows; 1 ms when zero
}

// Moment is a point between two commits of a writer, named in every way that recovery can be told of it. Recovery to it holds
// the rows 1 to Row and no others.
type Moment struct {
	Table string
	Row   int64
	Time  string // with time zone and microseconds, later than the commit of Row and earlier than that of Row+1
	LSN   string
	XID   string // of the transaction that wrote Row
	Name  string // of the restore point, if one was asked for
}

type mark struct {
	name  string
	last  bool // no row after it
	reply chan Moment
}

// StartWriter makes the table and starts writing it; it returns when the first row is committed.
func StartWriter(t testing.TB, c *Cluster, o WriterOptions) *Writer {
	t.Helper()
	if o.Table == "" {
		o.Table = "written"
	}
	if o.Every == 0 {
		o.Every = time.Millisecond
	}
	create := fmt.Sprintf("CREATE TABLE %s (id bigint PRIMARY KEY, payload text NOT NULL)", o.Table)
	if o.Tablespace != "" {
		create += fmt.Sprintf(" TABLESPACE %q", o.Tablespace)
	}
	c.Exec(create)

	ctx, cancel := context.WithCancel(t.Context())
	w := &Writer{t: t, table: o.Table, marks: make(chan mark), stop: cancel, done: make(chan struct{})}
	conn, err := pgx.Connect(ctx, c.Conninfo())
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	go func() {
		defer close(w.done)
		defer conn.Close(context.WithoutCancel(ctx))
		w.err = w.run(ctx, conn, o.Every, sync.OnceFunc(func() { close(first) }))
	}()
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	select {
	case <-first:
	case <-w.done:
		t.Fatalf("writing %s: %v", w.table, w.err)
	}
	return w
}

// Moment waits for the writer to be between two rows and describes that point. With a name it makes a restore point there.
func (w *Writer) Moment(name string) Moment {
	w.t.Helper()
	return w.mark(mark{name: name, reply: make(chan Moment, 1)})
}

func (w *Writer) mark(m mark) Moment {
	w.t.Helper()
	select {
	case w.marks <- m:
	case <-w.done:
		w.t.Fatalf("the writer of %s has ended: %v", w.table, w.err)
	}
	select {
	case moment := <-m.reply:
		return moment
	case <-w.done:
	}
	select {
	case moment := <-m.reply: // it answered, then ended
		return moment
	default:
		w.t.Fatalf("the writer of %s ended: %v", w.table, w.err)
		return Moment{}
	}
}

// WaitRows returns when n more rows are committed.
func (w *Writer) WaitRows(n int64) {
	w.t.Helper()
	for target := w.Row() + n; w.Row() < target; time.Sleep(time.Millisecond) {
		select {
		case <-w.done:
			w.t.Fatalf("the writer of %s has ended: %v", w.table, w.err)
		default:
		}
	}
}

// Row is the number of the last row whose commit PostgreSQL has acknowledged.
func (w *Writer) Row() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Stop ends the writer between two rows and describes that point. A writer that had failed fails the test.
func (w *Writer) Stop() Moment {
	w.t.Helper()
	m := w.mark(mark{last: true, reply: make(chan Moment, 1)})
	w.Abandon()
	return m
}

// Abandon ends the writer, whatever has become of its server, and returns the last row that was acknowledged: the one
// after it may or may not have been committed.
func (w *Writer) Abandon() int64 {
	w.stop()
	<-w.done
	return w.Row()
}

func (w *Writer) run(ctx context.Context, conn *pgx.Conn, every time.Duration, committed func()) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var xid string
	for id := int64(1); ; id++ {
		insert := fmt.Sprintf("INSERT INTO %s SELECT $1::bigint, %s RETURNING pg_current_xact_id()::text", w.table, payload("$1::bigint"))
		if err := conn.QueryRow(ctx, insert, id).Scan(&xid); err != nil {
			return err
		}
		w.mu.Lock()
		w.last = id
		w.mu.Unlock()
		committed()
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case m := <-w.marks:
				moment, err := w.describe(ctx, conn, m.name, id, xid)
				if err != nil {
					return err
				}
				m.reply <- moment
				if m.last {
					return nil
				}
			case <-tick.C:
				waiting = false
			}
		}
	}
}

func (w *Writer) describe(ctx context.Context, conn *pgx.Conn, name string, id int64, xid string) (Moment, error) {
	m := Moment{Table: w.table, Row: id, XID: xid, Name: name}
	if name != "" {
		if _, err := conn.Exec(ctx, "SELECT pg_create_restore_point($1)", name); err != nil {
			return m, err
		}
	}
	var at time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text").Scan(&at, &m.LSN); err != nil {
		return m, err
	}
	m.Time = at.UTC().Format("2006-01-02 15:04:05.000000-07")
	return m, nil
}

// Check fails the test unless the cluster holds exactly the rows of the moment, each with the bytes that were written.
func (m Moment) Check(t testing.TB, c *Cluster) {
	t.Helper()
	type held struct {
		Count, Min, Max int64
		Intact          bool
	}
	conn := c.Connect()
	rows, err := conn.Query(t.Context(), fmt.Sprintf(
		"SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0), coalesce(bool_and(payload = %s), true) FROM %s", payload("id"), m.Table))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[held])
	if err != nil {
		t.Fatal(err)
	}
	if want := (held{Count: m.Row, Min: 1, Max: m.Row, Intact: true}); got != want {
		t.Fatalf("table %s: it holds %+v, it must hold %+v", m.Table, got, want)
	}
}

// payload is 32 bytes to 2 kB that follow from the row's number.
func payload(id string) string {
	return fmt.Sprintf("repeat(md5((%[1]s)::text), 1 + ((%[1]s) %% 64)::int)", id)
}
