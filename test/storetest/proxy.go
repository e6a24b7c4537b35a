package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy is a way to a store that counts what passes, and fails where it is told to. Signatures stay valid: it passes
// requests on as they were signed, for its own address.
type Proxy struct {
	URL string // http://127.0.0.1:port

	target *url.URL
	onward *httputil.ReverseProxy

	mu     sync.Mutex
	faults []*fault
	seen   []Request
	healed chan struct{} // closed by Heal, and made anew
}

// Request is one that came to the proxy.
type Request struct {
	Method string
	Path   string // decoded, with bucket and key
	Query  url.Values
	Header http.Header
	Length int64 // of the body; -1 if the client did not say
}

// Fault is what befalls some of the requests, instead of being answered as the store would.
type Fault struct {
	Method string         // only of this method; any if empty
	Path   string         // only if the path contains this; any if empty
	Query  string         // only if the query has this parameter; any if empty
	Skip   int            // lets so many pass first
	Times  int            // befalls so many; 0: all
	For    time.Duration  // befalls requests for this long after the first; 0: for ever
	Does   func(*Passing) // what happens; see Answer, Wait, Reset, Cut and the other ones
}

// fault is a Fault with what it has done so far.
type fault struct {
	Fault
	matched, hit int
	first        time.Time
}

// Passing is a request that a fault befalls. A Does may change it.
type Passing struct {
	Request *http.Request

	writer  http.ResponseWriter
	done    bool                      // answered already
	body    func(io.Reader) io.Reader // what happens to the body of the answer
	healed  chan struct{}
	discard bool // the answer is lost
}

// NewProxy starts a proxy in front of the bucket's store, and returns the bucket as it is to be reached through it. It ends
// with the test.
func NewProxy(t testing.TB, b *Bucket) (*Bucket, *Proxy) {
	t.Helper()
	target, err := url.Parse(b.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + listener.Addr().String(), target: target, healed: make(chan struct{})}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	p.onward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		},
		ModifyResponse: p.answered, Transport: transport, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		p.Heal()
		_ = server.Close()
		serving.Wait()
		transport.CloseIdleConnections()
	})

	through := *b
	through.t, through.Endpoint = t, p.URL
	through.URL = strings.ReplaceAll(b.URL, b.Endpoint, p.URL)
	through.Env = slices.Clone(b.Env)
	for i := range through.Env {
		through.Env[i] = strings.NewReplacer(b.Endpoint, p.URL, "="+target.Host, "="+listener.Addr().String()).Replace(through.Env[i])
	}
	return &through, p
}

// Fail adds a fault. Of several that fit a request the one added last befalls it.
func (p *Proxy) Fail(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &fault{Fault: f})
}

// Heal takes all faults away; what waits goes on.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
	close(p.healed)
	p.healed = make(chan struct{})
}

// Requests are those that came since the start, or since Forget.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Forget begins the list of Requests anew.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

// Count is how many requests of each method came.
func (p *Proxy) Count() map[string]int {
	counts := map[string]int{}
	for _, r := range p.Requests() {
		counts[r.Method]++
	}
	return counts
}

// passingKey finds the Passing in the context of a request.
type passingKey struct{}

// ServeHTTP passes a request on, or makes it fail.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	does, passing := p.note(r)
	passing.writer = w
	if does != nil {
		does(passing)
	}
	if passing.done {
		return
	}
	p.onward.ServeHTTP(w, passing.Request.WithContext(context.WithValue(passing.Request.Context(), passingKey{}, passing)))
}

// note writes a request down and says what befalls it.
func (p *Proxy) note(r *http.Request) (func(*Passing), *Passing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: maps.Clone(r.Header), Length: r.ContentLength})
	passing := &Passing{Request: r, healed: p.healed}
	for _, f := range slices.Backward(p.faults) {
		if f.befalls(r) {
			return f.Does, passing
		}
	}
	return nil, passing
}

// befalls says whether a fault hits a request, and counts.
func (f *fault) befalls(r *http.Request) bool {
	fits := (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.Path, f.Path) && (f.Query == "" || r.URL.Query().Has(f.Query))
	if !fits {
		return false
	}
	f.matched++
	switch {
	case f.matched <= f.Skip, f.Times > 0 && f.hit >= f.Times, f.For > 0 && f.hit > 0 && time.Since(f.first) > f.For:
		return false
	case f.hit == 0:
		f.first = time.Now()
	}
	f.hit++
	return true
}

// answered is called with the store's answer.
func (p *Proxy) answered(answer *http.Response) error {
	// A store names its own address where it says how an upload goes on.
	if at := answer.Header.Get("Location"); at != "" {
		answer.Header.Set("Location", strings.Replace(at, p.target.String(), p.URL, 1))
	}
	passing, ok := answer.Request.Context().Value(passingKey{}).(*Passing)
	if !ok {
		return nil
	}
	if passing.discard {
		return errors.New("the answer is lost")
	}
	if passing.body != nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{passing.body(answer.Body), answer.Body}
	}
	return nil
}

// Answer answers in the store's place with a status, and a code in the words of S3 and Azure ("SlowDown", "AccessDenied",
// "ExpiredToken").
func Answer(status int, code string) func(*Passing) {
	return func(p *Passing) {
		p.done = true
		_, _ = io.Copy(io.Discard, p.Request.Body)
		p.writer.Header().Set("Content-Type", "application/xml")
		p.writer.Header().Set("x-ms-error-code", code)
		p.writer.WriteHeader(status)
		if p.Request.Method != http.MethodHead {
			_, _ = fmt.Fprintf(p.writer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>made by a test</Message></Error>", code)
		}
	}
}

// Wait passes the request on after a while, or when the proxy is healed.
func Wait(d time.Duration) func(*Passing) {
	return func(p *Passing) {
		select {
		case <-time.After(d):
		case <-p.healed:
		case <-p.Request.Context().Done():
		}
	}
}

// Reset closes the connection without an answer, and without the store's knowing.
func Reset(p *Passing) {
	p.done = true
	panic(http.ErrAbortHandler)
}

// LoseAnswer lets the store do what is asked, and closes the connection in place of its answer.
func LoseAnswer(p *Passing) { p.discard = true }

// Then calls a function, to kill a process at this very moment for example, and passes the request on.
func Then(call func()) func(*Passing) {
	return func(*Passing) { call() }
}

// Cut closes the connection after so many bytes of the answer's body.
func Cut(after int64) func(*Passing) {
	return func(p *Passing) {
		p.body = func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, after), broken{}) }
	}
}

// Stall sends nothing more after so many bytes of the answer's body, until the client leaves or the proxy is healed.
func Stall(after int64) func(*Passing) {
	return func(p *Passing) {
		p.body = func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, after), stalled{p}, r)
		}
	}
}

// Flip turns a bit of the byte at an offset of the answer's body.
func Flip(offset int64) func(*Passing) {
	return func(p *Passing) {
		p.body = func(r io.Reader) io.Reader { return &flipping{r: r, at: offset} }
	}
}

// FlipUpload turns a bit of the byte at an offset of the request's body.
func FlipUpload(offset int64) func(*Passing) {
	return func(p *Passing) {
		body := p.Request.Body
		p.Request.Body = struct {
			io.Reader
			io.Closer
		}{&flipping{r: body, at: offset}, body}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type stalled struct{ p *Passing }

func (s stalled) Read([]byte) (int, error) {
	select {
	case <-s.p.healed:
		return 0, io.EOF
	case <-s.p.Request.Context().Done():
		return 0, s.p.Request.Context().Err()
	}
}

// flipping turns the lowest bit of one byte.
type flipping struct {
	r  io.Reader
	at int64 // how far away the byte is
}

func (f *flipping) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if f.at >= 0 && f.at < int64(n) {
		b[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}
