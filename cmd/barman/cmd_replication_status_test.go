package main

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/core/postgres"
)

func TestAClientsNameAndStageTellWhetherCommitsAreSafeWithIt(t *testing.T) {
	const now = 1000
	for _, test := range []struct {
		client            postgres.Client
		name, stage, line string
	}{
		{postgres.Client{SyncState: "sync", SyncPriority: 1, Sent: now, Written: now, Flushed: now, Replayed: now},
			"#1 Sync standby", "5/5 Hot standby (max)", "1. S) u@socket S:0/3E8 F:0/3E8 R:0/3E8 P:1 AN:a"},
		{postgres.Client{SyncState: "potential", SyncPriority: 2, Sent: now, Written: now, Flushed: now, Replayed: now - 1},
			"#2 Potential standby", "4/5 2-safe", "1. P) u@socket S:0/3E8 F:0/3E8 R:0/3E7 P:2 AN:a"},
		{postgres.Client{SyncState: "quorum", SyncPriority: 1, Sent: now, Written: now, Flushed: now - 1, Replayed: now - 1},
			"#1 Quorum standby", "3/5 Remote write", "1. Q) u@socket S:0/3E8 F:0/3E7 R:0/3E7 P:1 AN:a"},
		{postgres.Client{SyncState: "async", Sent: now, Written: now - 1, Flushed: now - 1, Replayed: now - 1},
			"Async standby", "2/5 WAL Sent (min)", "1. A) u@socket S:0/3E8 F:0/3E7 R:0/3E7 P:0 AN:a"},
		{postgres.Client{SyncState: "async", Sent: now - 1, Written: now - 1, Flushed: now - 1, Replayed: now - 1},
			"Async standby", "1/5 1-safe", "1. A) u@socket S:0/3E7 F:0/3E7 R:0/3E7 P:0 AN:a"},
		{postgres.Client{SyncState: "sync", SyncPriority: 1, Sent: now, Written: now, Flushed: now, Address: "10.0.0.1"},
			"#1 Sync WAL streamer", "3/3 Remote write", "1. W) u@10.0.0.1 S:0/3E8 W:0/3E8 P:1 AN:a"},
		{postgres.Client{SyncState: "async", Sent: now, Written: 0},
			"Async WAL streamer", "2/3 WAL Sent (min)", "1. W) u@socket S:0/3E8 W:0/0 P:0 AN:a"},
		{postgres.Client{}, "WAL streamer", "1/3 1-safe", "1. W) u@socket S:0/0 W:0/0 P:0 AN:a"},
	} {
		test.client.User, test.client.ApplicationName = "u", "a"
		status := replicationStatus{server: "main", lsn: now, clients: []postgres.Client{test.client}, options: replicationStatusOptions{minimal: true}}
		if got := clientName(test.client); got != test.name {
			t.Errorf("%q, want %q", got, test.name)
		}
		if got := status.stage(test.client); got != test.stage {
			t.Errorf("%s: %q, want %q", test.name, got, test.stage)
		}
		var out strings.Builder
		status.text(&out, style{})
		if got := out.String(); got != "Streaming clients for master 'main' (LSN @ 0/3E8):\n  "+test.line+"\n" {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}
