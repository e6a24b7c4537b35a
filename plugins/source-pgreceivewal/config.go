package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Config is what a source "pgreceivewal" block says.
type Config struct {
	Slot            string        `hcl:"slot,optional" doc:"The replication slot that keeps the server from removing WAL that was not received yet. Without one a receiver that is down for long misses WAL."`
	CreateSlot      string        `hcl:"create_slot,optional" default:"manual" doc:"Whether a missing slot is created: manual (barman receive-wal --create-slot) or auto (when receiving starts)."`
	Conninfo        sdk.Secret    `hcl:"conninfo,optional" doc:"Connection string for the replication protocol; the server's wal_streaming_conninfo, which is its streaming_conninfo by default, when left out."`
	ApplicationName string        `hcl:"application_name,optional" default:"barman_receive_wal" doc:"The name that the server shows in pg_stat_replication and compares with synchronous_standby_names."`
	StatusInterval  time.Duration `hcl:"status_interval,optional" default:"10s" doc:"How often received WAL is made durable and the server told of it, unless synchronous; keep it below the server's wal_sender_timeout."`
	ReceiverTimeout time.Duration `hcl:"receiver_timeout,optional" default:"1m" doc:"How long the server may say nothing, though it was asked to halfway, before the connection counts as lost."`
	Synchronous     *bool         `hcl:"synchronous,optional" doc:"Make WAL durable and report it as soon as it has come, as a synchronous standby must. When left out, that is done while the server's synchronous_standby_names names this one."`
}

// Limits of status_interval: below, the reports would be a load; above, servers
// with the default wal_sender_timeout would end the connection.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = 50 * time.Second
)

// Limits of receiver_timeout: below, a busy network would pass for a broken one.
const (
	minTimeout = time.Second
	maxTimeout = time.Hour
)

// Validate tells what the schema cannot.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	if c.Slot != "" && !validSlot.MatchString(c.Slot) {
		found = append(found, schema.Diagnostic{Path: "slot", Summary: "Invalid slot name",
			Detail: fmt.Sprintf("%q: a slot's name has 1 to 63 lower case letters, digits and underscores.", c.Slot)})
	}
	if c.CreateSlot != "" && c.CreateSlot != "manual" && c.CreateSlot != "auto" {
		found = append(found, schema.Diagnostic{Path: "create_slot", Summary: "Unknown value",
			Detail: fmt.Sprintf("%q is neither \"manual\" nor \"auto\".", c.CreateSlot)})
	}
	if c.CreateSlot == "auto" && c.Slot == "" {
		found = append(found, schema.Diagnostic{Path: "create_slot", Summary: "No slot to create",
			Detail: "create_slot = \"auto\" needs the slot's name: set slot."})
	}
	if c.StatusInterval < minInterval || c.StatusInterval > maxInterval {
		found = append(found, schema.Diagnostic{Path: "status_interval", Summary: "Interval out of range",
			Detail: fmt.Sprintf("Choose from %s to %s, not %s.", minInterval, maxInterval, c.StatusInterval)})
	}
	if c.ReceiverTimeout < minTimeout || c.ReceiverTimeout > maxTimeout {
		found = append(found, schema.Diagnostic{Path: "receiver_timeout", Summary: "Timeout out of range",
			Detail: fmt.Sprintf("Choose from %s to %s, not %s.", minTimeout, maxTimeout, c.ReceiverTimeout)})
	}
	return found
}

// validSlot is PostgreSQL's own rule (manual, section 27.2.6.1).
var validSlot = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
