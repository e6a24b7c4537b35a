package pgtest

import (
	"fmt"
	"net"
	"sync"
	"testing"
)

// Proxy is a network between a client and a cluster that can fail.
type Proxy struct {
	Port int

	t        testing.TB
	listener net.Listener
	to       string

	mu        sync.Mutex
	flowing   *sync.Cond // signalled when swallowed changes
	swallowed bool
	pairs     map[*pair]bool
}

// pair is a connection through the proxy.
type pair struct{ client, server net.Conn }

// NewProxy starts a proxy in front of a cluster; it ends with the test.
func NewProxy(t testing.TB, c *Cluster) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Port: listener.Addr().(*net.TCPAddr).Port, t: t, listener: listener, to: fmt.Sprintf("127.0.0.1:%d", c.Port), pairs: map[*pair]bool{},
	}
	p.flowing = sync.NewCond(&p.mu)
	var serving sync.WaitGroup
	serving.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Heal()
		p.Cut()
		serving.Wait()
	})
	return p
}

// Cut resets all connections; new ones come about.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		for _, end := range []net.Conn{c.client, c.server} {
			_ = end.(*net.TCPConn).SetLinger(0) // closing is a reset then
			_ = end.Close()
		}
	}
}

// Swallow lets nothing through any more, of old connections or new ones, and
// tells neither end.
func (p *Proxy) Swallow() { p.set(true) }

// Heal ends Swallow. What was under way arrives late.
func (p *Proxy) Heal() { p.set(false) }

func (p *Proxy) set(swallowed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallowed = swallowed
	p.flowing.Broadcast()
}

func (p *Proxy) serve() {
	var passing sync.WaitGroup
	defer passing.Wait()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil { // it is down
			_ = client.Close()
			continue
		}
		c := &pair{client, server}
		p.mu.Lock()
		p.pairs[c] = true
		p.mu.Unlock()
		var halves sync.WaitGroup
		halves.Go(func() { p.pass(client, server) })
		halves.Go(func() { p.pass(server, client) })
		passing.Go(func() {
			halves.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.pairs, c)
		})
	}
}

// pass copies one way until an end closes, and closes the other.
func (p *Proxy) pass(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.swallowed {
			p.flowing.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
