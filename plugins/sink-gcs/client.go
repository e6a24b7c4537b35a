package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

const google = "https://storage.googleapis.com"

// scopes are what tokens are good for; permissions are given with roles.
var scopes = []string{storage.ScopeFullControl, "https://www.googleapis.com/auth/cloud-platform"}

// connect makes what requests are sent with. Nothing is sent to the store, but
// Google's metadata server may be asked whether this is one of its machines. An
// error is of kind Invalid or Denied.
func (s *store) connect(ctx context.Context, c *Config) error {
	transport, err := bucket.Transport(c.ReadTimeout)
	if err != nil {
		return err
	}
	bucket.Throttle(transport, int64(c.BandwidthLimit))
	var sender http.RoundTripper = transport
	emulator := os.Getenv("STORAGE_EMULATOR_HOST")
	s.endpoint, err = parseEndpoint(cmp.Or(c.Endpoint, emulator, google))
	if err != nil {
		return err
	}
	s.project = cmp.Or(c.Project, os.Getenv("GOOGLE_CLOUD_PROJECT"))
	if emulator == "" {
		who, err := logIn(c.Credentials)
		if err != nil {
			return err
		}
		s.credentials = who
		if sender, err = htransport.NewTransport(ctx, transport, option.WithAuthCredentials(who)); err != nil {
			return sdk.Errorf(sdk.Invalid, "the credentials for Google Cloud cannot be used: %w", err)
		}
	}
	// An upload goes on with status 308, which is no redirection there.
	s.http = &http.Client{Transport: sender, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	client, err := storage.NewClient(ctx, option.WithHTTPClient(s.http), option.WithEndpoint(s.endpoint+"/storage/v1/"), storage.WithJSONReads())
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "the client for Google Cloud Storage cannot be made: %w", err)
	}
	// One attempt for each request: package bucket tries again.
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	s.bucket = client.Bucket(s.place.bucket)
	return nil
}

// logIn finds credentials: those in a file, or Google's default ones. For the
// library a file is that of the environment, and this process has no other use for
// that.
func logIn(file string) (*auth.Credentials, error) {
	if file != "" {
		if err := os.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file); err != nil {
			return nil, sdk.Errorf(sdk.Invalid, "the setting credentials cannot be used: %w", err)
		}
	}
	who, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: scopes})
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "there are no credentials for Google Cloud: %w; name a file with the key of a service account in GOOGLE_APPLICATION_CREDENTIALS or the setting credentials, or log in with gcloud auth application-default login", err)
	}
	return who, nil
}

// parseEndpoint reads the URL of a store; for an emulator the scheme may be missing.
// It ends without a slash.
func parseEndpoint(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", sdk.Errorf(sdk.Invalid, "the endpoint of Google Cloud Storage is not the URL of a host, such as %s", google)
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.Path, "/"), nil
}
