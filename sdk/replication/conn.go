package replication

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Conn is a connection that speaks the replication protocol, or an ordinary one
// that answers SQL. It is for one goroutine at a time.
type Conn struct {
	pg    *pgconn.PgConn
	where string
	peer  Peer
	major int
}

// Connect opens a connection for physical replication. applicationName is what
// the server shows in pg_stat_replication and compares with
// synchronous_standby_names; it wins over the one in the connection string.
func Connect(ctx context.Context, conninfo sdk.Secret, applicationName string) (*Conn, error) {
	cfg, err := parse(ForStreaming(conninfo), applicationName)
	if err != nil {
		return nil, err
	}
	if err := Streaming(cfg); err != nil {
		return nil, err
	}
	where := describe(cfg)
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectFailure(ctx, where, Peer{User: cfg.User, Streaming: true}, err)
	}
	c := &Conn{pg: pg, where: where, peer: Peer{User: cfg.User, Streaming: true}}
	return c.supported()
}

// cancelTime is how long a server may take to cancel a statement when its
// context ends, before the connection is given up.
const cancelTime = 5 * time.Second

// ConnectSQL opens an ordinary connection: Query runs SQL on it. When the
// context of a query ends the server is told to cancel it, and the connection
// can still be used.
func ConnectSQL(ctx context.Context, conninfo sdk.Secret, applicationName string) (*Conn, error) {
	cfg, err := parse(conninfo, applicationName)
	if err != nil {
		return nil, err
	}
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: cancelTime}
	}
	where := describe(cfg)
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectFailure(ctx, where, Peer{User: cfg.User}, err)
	}
	c := &Conn{pg: pg, where: where, peer: Peer{User: cfg.User}}
	return c.supported()
}

// supported returns the connection, or closes it when the server is too old.
func (c *Conn) supported() (*Conn, error) {
	var err error
	if c.major, err = majorVersion(c.pg.ParameterStatus("server_version")); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.where, err)
	}
	if c.major < 10 {
		c.Close()
		return nil, sdk.Errorf(sdk.Invalid, "%s: PostgreSQL %d is not supported; 10 or later is needed", c.where, c.major)
	}
	return c, nil
}

// majorVersion reads the first number of a version such as "15.14 (Debian
// 15.14-0+deb12u1)", "18beta1" or "9.6.24".
func majorVersion(text string) (int, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	major, err := strconv.Atoi(text[:digits])
	if err != nil {
		return 0, sdk.Errorf(sdk.Invalid, "server version %q is not one of PostgreSQL's", text)
	}
	return major, nil
}

// Major returns the server's major version: 10 to 18 and later.
func (c *Conn) Major() int { return c.major }

// String names the connection in messages: address and user.
func (c *Conn) String() string { return c.where }

// Close ends the connection; the server learns of it.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// An error leaves nothing to do: the socket is closed in either case.
	_ = c.pg.Close(ctx)
}

// Idle leaves the connection idle for a while. It returns at once, with the
// reason, when the server ends the connection meanwhile or can be seen to be
// gone; nil when the time is over, or ctx has ended.
func (c *Conn) Idle(ctx context.Context, wait time.Duration) error {
	if err := c.pg.Conn().SetReadDeadline(time.Now().Add(wait)); err != nil {
		return c.explain(ctx, "idle", err)
	}
	awoken := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(awoken)
		// An error means that the connection is closed, which ends the reading too.
		_ = c.pg.Conn().SetReadDeadline(time.Now())
	})
	var err error
	for err == nil { // notices and changed parameters may come at any time
		_, err = c.pg.ReceiveMessage(context.Background())
	}
	if !release() {
		<-awoken
	}
	if network := net.Error(nil); errors.As(err, &network) && network.Timeout() && !c.pg.IsClosed() {
		err = c.pg.Conn().SetReadDeadline(time.Time{})
	}
	if err != nil {
		return c.explain(context.WithoutCancel(ctx), "idle", err)
	}
	return nil
}

// Row is one row of an answer. A NULL is an empty text.
type Row []string

// Query runs a short command and returns its rows.
func (c *Conn) Query(ctx context.Context, command string) ([]Row, error) {
	results, err := c.pg.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, c.explain(ctx, firstWords(command), err)
	}
	var rows []Row
	for _, result := range results {
		for _, values := range result.Rows {
			row := make(Row, len(values))
			for i, value := range values {
				row[i] = string(value)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// firstWords is the name of a command, for messages.
func firstWords(command string) string {
	name, _, _ := strings.Cut(command, " ")
	if name == "SHOW" {
		return command
	}
	return name
}

// Show returns a run-time parameter of the server.
func (c *Conn) Show(ctx context.Context, name string) (string, error) {
	rows, err := c.Query(ctx, "SHOW "+name)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return "", fmt.Errorf("%s: SHOW %s: the answer has an unknown form", c.where, name)
	}
	return rows[0][0], nil
}

// InRecovery tells whether the server is a standby, or still recovers.
func (c *Conn) InRecovery(ctx context.Context) (bool, error) {
	is, err := inRecovery(ctx, c.pg)
	if err != nil {
		return false, c.explain(ctx, "in recovery?", err)
	}
	return is, nil
}

// System is what IDENTIFY_SYSTEM tells of a server.
type System struct {
	// ID identifies the cluster, as pg_controldata shows it.
	ID string
	// Timeline is the server's current timeline.
	Timeline wal.Timeline
	// Position is the server's current flush position.
	Position wal.LSN
}

// Identify asks the server who it is.
func (c *Conn) Identify(ctx context.Context) (System, error) {
	rows, err := c.Query(ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return System{}, err
	}
	unknown := func(err error) error { return fmt.Errorf("%s: IDENTIFY_SYSTEM: %w", c.where, err) }
	if len(rows) != 1 || len(rows[0]) < 3 {
		return System{}, unknown(errors.New("the answer has an unknown form"))
	}
	timeline, err := ParseTimeline(rows[0][1])
	if err != nil {
		return System{}, unknown(err)
	}
	position, err := wal.ParseLSN(rows[0][2])
	if err != nil {
		return System{}, unknown(err)
	}
	return System{ID: rows[0][0], Timeline: timeline, Position: position}, nil
}

// ParseTimeline reads a timeline as the protocol gives it, in decimal.
func ParseTimeline(text string) (wal.Timeline, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a timeline", text)
	}
	return wal.Timeline(n), nil
}

// QuoteLiteral writes text as a string constant of a replication command.
func QuoteLiteral(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// QuoteIdentifier writes a name as the protocol's grammar wants it.
func QuoteIdentifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
