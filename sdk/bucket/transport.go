package bucket

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/barman-go/barman/sdk"
)

const (
	// DefaultReadTimeout is how long a store may be silent.
	DefaultReadTimeout = 60 * time.Second

	connectTimeout = 10 * time.Second
	// idleConnections is how many connections wait for the next request: more than
	// a store ever has in flight here.
	idleConnections = 64
	// copyBuffer is how much of a body goes through a connection at once.
	copyBuffer = 64 << 10
)

// Transport is what a provider's library speaks HTTP through. A store that is
// silent for readTimeout (0 stands for DefaultReadTimeout), neither taking nor sending
// a byte, has failed: no connection waits for ever. Proxies are those of the
// environment. Nothing is decompressed on the way, objects are bytes.
//
// Certificates are those of the system, of SSL_CERT_FILE and SSL_CERT_DIR, or of
// REQUESTS_CA_BUNDLE, by which Python programs know them. An error is of kind
// Invalid.
func Transport(readTimeout time.Duration) (*http.Transport, error) {
	if err := trustBundle(); err != nil {
		return nil, err
	}
	silence := cmp.Or(readTimeout, DefaultReadTimeout)
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	// One connection for each request in flight: parts side by side on one HTTP/2
	// connection would share its window.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &watched{Conn: conn, silence: silence}, nil
		},
		Protocols:           &protocols,
		TLSHandshakeTimeout: connectTimeout,
		MaxIdleConns:        idleConnections,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		ReadBufferSize:      copyBuffer,
		WriteBufferSize:     copyBuffer,
	}, nil
}

// trustBundle makes the certificates of REQUESTS_CA_BUNDLE those that Go trusts,
// in the libraries that fetch credentials too, unless SSL_CERT_FILE or SSL_CERT_DIR
// already name some. Go looks at these when it verifies the first certificate.
func trustBundle() error {
	const python = "REQUESTS_CA_BUNDLE"
	bundle := os.Getenv(python)
	if bundle == "" || os.Getenv("SSL_CERT_FILE") != "" || os.Getenv("SSL_CERT_DIR") != "" {
		return nil
	}
	info, err := os.Stat(bundle)
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "%s does not name a file of certificates: %w", python, err)
	}
	if info.IsDir() {
		return os.Setenv("SSL_CERT_DIR", bundle)
	}
	return os.Setenv("SSL_CERT_FILE", bundle)
}

// watched is a connection that fails when it is silent for too long. What moves in
// one direction keeps the other alive: an answer may be long in coming while its
// request is still being sent.
type watched struct {
	net.Conn
	silence time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.SetDeadline(time.Now().Add(w.silence)); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	if err := w.SetDeadline(time.Now().Add(w.silence)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// Network classifies what ended a request before its answer was complete, for
// stores: Unavailable, so that it is tried again, unless ctx was cancelled or
// trying again cannot help. The URL of the request stays out of it: there may be a
// token in it.
func Network(err error) error {
	var request *url.Error
	for errors.As(err, &request) {
		err = request.Err
	}
	var certificate *tls.CertificateVerificationError
	var host *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate):
		return sdk.Errorf(sdk.Invalid, "the store's certificate is not trusted: %w: name a file with the certificate of its authority in SSL_CERT_FILE", certificate)
	case errors.Is(err, http.ErrSchemeMismatch):
		return sdk.Errorf(sdk.Invalid, "the store does not speak TLS: %w: check whether its URL begins with http or https", err)
	case errors.As(err, &host) && host.IsNotFound:
		return sdk.Errorf(sdk.Unavailable, "there is no host %s: check its name, and the name server", host.Name)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return sdk.Errorf(sdk.Unavailable, "the store closed the connection in the middle of an answer")
	case os.IsTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return sdk.Errorf(sdk.Unavailable, "the store was silent for too long: %w", err)
	}
	return sdk.Errorf(sdk.Unavailable, "the store cannot be reached: %w", err)
}
