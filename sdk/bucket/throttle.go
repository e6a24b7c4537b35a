package bucket

import (
	"context"
	"net"
	"net/http"

	"golang.org/x/time/rate"
)

// Throttle keeps a transport from sending, and from receiving, more than so many
// bytes a second, all its connections together. It counts what is on the wire. 0 is no limit.
func Throttle(t *http.Transport, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		return
	}
	// A twentieth of a second's worth at once, so that it is even.
	burst := int(max(bytesPerSecond/20, 1))
	sending, receiving := rate.NewLimiter(rate.Limit(bytesPerSecond), burst), rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &throttledConn{Conn: conn, sending: sending, receiving: receiving}, nil
	}
}

// throttledConn waits its turn before it sends, and after it received.
type throttledConn struct {
	net.Conn
	sending, receiving *rate.Limiter
}

// Read reads no more at once than the limiter lets through in one piece.
func (c *throttledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.receiving.Burst())])
	if n > 0 {
		// It fails only for more than a burst, or when the context ends.
		_ = c.receiving.WaitN(context.Background(), n)
	}
	return n, err
}

// Write sends p piece by piece.
func (c *throttledConn) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		piece := p[written:]
		piece = piece[:min(len(piece), c.sending.Burst())]
		_ = c.sending.WaitN(context.Background(), len(piece)) // as above
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
