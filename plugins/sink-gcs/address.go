package main

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// address is where a bucket is.
type address struct {
	bucket string
	// path is what follows the bucket in the URL, without slashes at its ends.
	path string
}

const (
	consoleHost = "console.cloud.google.com"
	consolePath = "/storage/browser/"
)

// Names of buckets: Google's "About Cloud Storage buckets".
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// parseAddress reads gs://<bucket>[/<path>], or the URL of a bucket or a folder in
// Google's console. An error is of kind Invalid.
func parseAddress(text string) (address, error) {
	wrong := func(why string) (address, error) {
		return address{}, sdk.Errorf(sdk.Invalid, "the URL of the bucket %s; write gs://<bucket>[/<path>]", why)
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return wrong("cannot be read")
	}
	var a address
	switch {
	case u.Scheme == "gs":
		if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return wrong("has a ? or a # in it")
		}
		a.bucket, a.path = u.Host, u.Path
	case u.Scheme == "https" && u.Host == consoleHost && strings.HasPrefix(u.Path, consolePath):
		// Behind it stands which tab was open.
		path, _, _ := strings.Cut(strings.TrimPrefix(u.Path, consolePath), ";")
		a.bucket, a.path, _ = strings.Cut(path, "/")
	default:
		return wrong("is neither gs://… nor https://" + consoleHost + consolePath + "…")
	}
	a.path = strings.Trim(a.path, "/")
	if !bucketName.MatchString(a.bucket) {
		return wrong("names no bucket: a bucket's name has 3 to 222 lower case letters, digits, hyphens, dots and underscores")
	}
	return a, nil
}

// url is the URL of the bucket.
func (a address) url() string { return "gs://" + a.bucket }
