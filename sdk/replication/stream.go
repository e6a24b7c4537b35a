package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/barman-go/barman/sdk"
)

const (
	// bufferSize is what one read from the socket may bring: large enough that
	// system calls cost nothing, small enough to stay in the processor's cache.
	bufferSize   = 256 << 10
	headerSize   = 5
	cancelPeriod = 5 * time.Second
	writePeriod  = 30 * time.Second
)

// Message types of the protocol (PostgreSQL manual, section 55.7) that a Stream
// returns. Errors, notices and parameter changes are dealt with inside.
const (
	CopyOut         = byte('H')
	CopyBoth        = byte('W')
	CopyData        = byte('d')
	CopyDone        = byte('c')
	RowDescription  = byte('T')
	DataRow         = byte('D')
	CommandComplete = byte('C')
	Ready           = byte('Z')
)

// Stream is a connection that carries the answer to one long command. It reads
// the messages itself: a message of any length passes through one buffer, and
// its bytes are copied once, to whoever asked for them. It is for one goroutine
// at a time.
type Stream struct {
	ctx      context.Context
	conn     net.Conn
	pg       *pgconn.PgConn // for the cancel request
	where    string
	peer     Peer
	doing    string
	advise   Advice
	onNotice func(*pgconn.PgError)
	release  func() bool

	buf       []byte
	r, w      int       // what is buffered
	remaining int       // bytes of the current message not read yet
	writable  time.Time // until when writes may take
	ended     bool
	closed    bool
}

// StreamOptions is what differs between commands.
type StreamOptions struct {
	// Doing names the command in errors: "base backup".
	Doing string
	// Advise explains the server's errors; nil for the common explanations.
	Advise Advice
	// OnNotice is told of the server's notices and warnings; may be nil.
	OnNotice func(*pgconn.PgError)
}

// Stream sends a command and hands over the connection; c must not be used any
// more. When ctx ends, every call on the stream fails with its error.
func (c *Conn) Stream(ctx context.Context, command string, options StreamOptions) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %s: %w", c.where, options.Doing, err)
	}
	hijacked, err := c.pg.Hijack()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c.where, options.Doing, err)
	}
	pg, err := pgconn.Construct(hijacked)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %s: %w", c.where, options.Doing, err), hijacked.Conn.Close())
	}
	s := &Stream{
		ctx: ctx, conn: hijacked.Conn, pg: pg, where: c.where, peer: c.peer,
		doing: options.Doing, advise: options.Advise, onNotice: options.OnNotice, buf: make([]byte, bufferSize),
	}
	s.release = context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	if err := s.Command(command); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Command sends a further command; the stream must have returned Ready.
func (s *Stream) Command(command string) error {
	message, err := (&pgproto3.Query{String: command}).Encode(nil)
	if err != nil {
		return s.failure(err)
	}
	s.ended = false
	return s.write(message)
}

// SendCopyData sends one CopyData message.
func (s *Stream) SendCopyData(data []byte) error {
	message, err := (&pgproto3.CopyData{Data: data}).Encode(nil)
	if err != nil {
		return s.failure(err)
	}
	return s.write(message)
}

// SendCopyDone ends this side of a copy.
func (s *Stream) SendCopyDone() error {
	message, err := (&pgproto3.CopyDone{}).Encode(nil)
	if err != nil {
		return s.failure(err)
	}
	return s.write(message)
}

func (s *Stream) write(message []byte) error {
	// Setting it for every one of a stream of small messages costs as much as they do.
	if now := time.Now(); s.writable.Sub(now) < writePeriod/2 {
		s.writable = now.Add(writePeriod)
		if err := s.conn.SetWriteDeadline(s.writable); err != nil {
			return s.failure(err)
		}
	}
	if _, err := s.conn.Write(message); err != nil {
		return s.failure(err)
	}
	return nil
}

// Detach lets the stream outlive its context, for an orderly end within the
// given time.
func (s *Stream) Detach(within time.Duration) error {
	s.release()
	s.ctx = context.Background()
	return s.conn.SetReadDeadline(time.Now().Add(within))
}

// Await bounds how long the next reads may wait; errors then are
// os.ErrDeadlineExceeded and nothing is lost. The zero time takes the bound away.
func (s *Stream) Await(until time.Time) error {
	if err := s.conn.SetReadDeadline(until); err != nil {
		return s.failure(err)
	}
	// The context may have ended just before and set a deadline of its own.
	if s.ctx.Err() != nil {
		return s.failure(s.ctx.Err())
	}
	return nil
}

// Next goes on to the next message, skipping what is left of the current one,
// and returns its type and the length of its content. An error of the server
// becomes an error.
func (s *Stream) Next() (kind byte, length int, err error) {
	for {
		if err := s.skip(); err != nil {
			return 0, 0, err
		}
		if err := s.need(headerSize); err != nil {
			return 0, 0, err
		}
		kind = s.buf[s.r]
		n := int(int32(binary.BigEndian.Uint32(s.buf[s.r+1:])))
		if n < 4 {
			s.ended = true // nothing that follows can be understood
			return 0, 0, sdk.Errorf(sdk.Unavailable, "%s: %s: message of type %q has the impossible length %d", s.where, s.doing, kind, n)
		}
		s.r += headerSize
		s.remaining = n - 4
		switch kind {
		case 'E':
			return 0, 0, s.serverError()
		case 'N':
			if err := s.notice(); err != nil {
				return 0, 0, err
			}
		case 'S', 'A':
		case Ready:
			s.ended = true
			return kind, s.remaining, nil
		default:
			return kind, s.remaining, nil
		}
	}
}

// Complete tells whether the next message is in the buffer as a whole, so that
// Next and Body will not wait for the network.
func (s *Stream) Complete() bool {
	buffered := s.w - s.r - s.remaining
	if buffered < headerSize {
		return false
	}
	at := s.r + s.remaining
	return buffered > int(binary.BigEndian.Uint32(s.buf[at+1:at+headerSize]))
}

// Read reads the content of the current message, io.EOF at its end.
func (s *Stream) Read(p []byte) (int, error) {
	if s.remaining == 0 {
		return 0, io.EOF
	}
	if s.r == s.w {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.r:min(s.w, s.r+s.remaining)])
	s.r += n
	s.remaining -= n
	return n, nil
}

// Body returns what is left of the current message. It is valid until the next
// call on the stream. A message that does not fit in the buffer is an error.
func (s *Stream) Body() ([]byte, error) {
	n := s.remaining
	if n > len(s.buf) {
		return nil, sdk.Errorf(sdk.Unavailable, "%s: %s: message of %d bytes, expected at most %d", s.where, s.doing, n, len(s.buf))
	}
	if err := s.need(n); err != nil {
		return nil, err
	}
	body := s.buf[s.r : s.r+n]
	s.r += n
	s.remaining = 0
	return body, nil
}

func (s *Stream) skip() error {
	for s.remaining > 0 {
		if s.r == s.w {
			if err := s.fill(); err != nil {
				return err
			}
		}
		n := min(s.remaining, s.w-s.r)
		s.r += n
		s.remaining -= n
	}
	return nil
}

// need makes n bytes available in one piece.
func (s *Stream) need(n int) error {
	for s.w-s.r < n {
		if s.r+n > len(s.buf) {
			s.w = copy(s.buf, s.buf[s.r:s.w])
			s.r = 0
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stream) fill() error {
	if s.r == s.w {
		s.r, s.w = 0, 0
	}
	n, err := s.conn.Read(s.buf[s.w:])
	s.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return nil
	}
	return s.failure(err)
}

// failure explains a broken connection. A deadline that Await set is neither:
// the stream goes on.
func (s *Stream) failure(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && s.ctx.Err() == nil {
		return os.ErrDeadlineExceeded
	}
	if errors.Is(err, io.EOF) {
		s.ended = true
	}
	return explain(s.ctx, s.where+": "+s.doing, s.peer, err, s.advise)
}

func (s *Stream) serverError() error {
	s.ended = true // the command is over on the server
	body, err := s.Body()
	if err != nil {
		return err
	}
	e, err := decodeError(body)
	if err != nil {
		return s.failure(err)
	}
	return s.failure(e)
}

func (s *Stream) notice() error {
	body, err := s.Body()
	if err != nil {
		return err
	}
	e, err := decodeError(body)
	if err != nil {
		return s.failure(err)
	}
	if s.onNotice != nil {
		s.onNotice(e)
	}
	return nil
}

// decodeError reads the fields of an ErrorResponse or NoticeResponse.
func decodeError(body []byte) (*pgconn.PgError, error) {
	var response pgproto3.ErrorResponse
	if err := response.Decode(body); err != nil {
		return nil, err
	}
	return pgconn.ErrorResponseToPgError(&response), nil
}

// Close ends the connection and with it whatever the command still does on the
// server: a command that waits, as for a checkpoint, would not notice that its
// client is gone, so that it is cancelled first. Calling it again does nothing.
func (s *Stream) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.release()
	if !s.ended {
		ctx, cancel := context.WithTimeout(context.Background(), cancelPeriod)
		defer cancel()
		// Closing the connection is the fallback when this does not come through.
		_ = s.pg.CancelRequest(ctx)
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if message, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_, _ = s.conn.Write(message)
	}
	_ = s.conn.Close()
}
