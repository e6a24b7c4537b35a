package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Config is what a hook block says.
type Config struct {
	URL      string        `hcl:"url" doc:"Where events are posted to: http:// or https://."`
	Token    sdk.Secret    `hcl:"token,optional" doc:"Sent as a bearer token with every event."`
	Veto     bool          `hcl:"veto,optional" default:"false" doc:"Before an operation, take an answer other than 2xx, or none, as a veto. Otherwise it is only logged."`
	Attempts int           `hcl:"attempts,optional" default:"3" doc:"How many times an event is posted before it is given up."`
	Timeout  time.Duration `hcl:"timeout,optional" default:"10s" doc:"How long one attempt may take."`
}

// maxAttempts keeps a server that is down from holding up an operation for ever.
const maxAttempts = 100

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	say := func(path, summary, detail string) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: detail})
	}
	if parsed, err := url.Parse(c.URL); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		say("url", "Invalid URL", fmt.Sprintf("%q does not begin with http:// or https:// and a host.", c.URL))
	}
	if c.Attempts < 1 || c.Attempts > maxAttempts {
		say("attempts", "Attempts out of range", fmt.Sprintf("Choose from 1 to %d.", maxAttempts))
	}
	if c.Timeout <= 0 {
		say("timeout", "Timeout out of range", "Nothing is posted in no time.")
	}
	return found
}
