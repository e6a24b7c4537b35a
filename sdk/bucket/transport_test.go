package bucket

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// client speaks through the transport.
func client(t *testing.T, silence time.Duration) *http.Client {
	t.Helper()
	transport, err := Transport(silence)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestAStoreThatFallsSilentIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	c := client(t, 200*time.Millisecond)
	for _, path := range []string{"/nothing", "/half"} {
		answer, err := c.Get(server.URL + path)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		if err == nil || !os.IsTimeout(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestASlowStoreIsNotGivenUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 5 {
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
	}))
	defer server.Close()
	answer, err := client(t, 200*time.Millisecond).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "xxxxx" {
		t.Errorf("%q, %v", b, err)
	}
}

// Go reads the environment for certificates once in a process, so one test has to
// do.
func TestTheCertificatesOfPythonProgramsAreTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "")
	}
	t.Setenv("REQUESTS_CA_BUNDLE", bundle)
	if _, err := Transport(0); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), bundle) {
		t.Errorf("a bundle that is missing: %v", err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := client(t, 0).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func TestAnErrorOfTheNetworkDoesNotShowTheURL(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}))
	defer plain.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for url, kind := range map[string]sdk.ErrorKind{
		plain.URL:                                sdk.Unavailable,
		closed.URL:                               sdk.Unavailable,
		"http://nowhere.invalid":                 sdk.Unavailable,
		strings.Replace(plain.URL, "p", "ps", 1): sdk.Invalid,
	} {
		answer, err := http.Get(url + "/?sig=secret")
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		if err = Network(err); sdk.KindOf(err) != kind || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %s: %v", url, sdk.KindOf(err), err)
		}
	}
	if err := Network(context.Canceled); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}
