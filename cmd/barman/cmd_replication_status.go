package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Values of the options of replication-status.
const (
	clientsAll         = "all"
	clientsHotStandby  = "hot-standby"
	clientsWALStreamer = "wal-streamer"
	sourceBackupHost   = "backup-host"
	sourceWALHost      = "wal-host"
)

type replicationStatusOptions struct {
	minimal bool
	target  string
	source  string
}

func newReplicationStatusCommand(a *app) *cobra.Command {
	var o replicationStatusOptions
	cmd := &cobra.Command{
		Use:   "replication-status SERVER…",
		Short: "Show who streams WAL from PostgreSQL, and how far behind they are",
		Long: `Show the streaming clients of one or more servers, or of "all" active ones, as
pg_stat_replication has them: how far each one is, and whether commits wait for
it. --target picks the standbys or the receivers of WAL, barman's own among them.

With --source wal-host the host that WAL is received from is asked, that of
wal_conninfo, instead of that of conninfo.

` + exitCodesHelp,
		Example:           "  barman replication-status main\n  barman replication-status --minimal --target wal-streamer all\n  barman -f json replication-status --source wal-host main",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplicationStatus(cmd.Context(), a, o, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.minimal, "minimal", false, "print a line for each client")
	flags.StringVar(&o.target, "target", clientsAll, "which `CLIENTS`: all, hot-standby or wal-streamer")
	flags.StringVar(&o.source, "source", sourceBackupHost, "which `HOST` to ask: backup-host or wal-host")
	return cmd
}

func (o replicationStatusOptions) check() error {
	for _, option := range []struct {
		name, value string
		known       []string
	}{
		{"target", o.target, []string{clientsAll, clientsHotStandby, clientsWALStreamer}},
		{"source", o.source, []string{sourceBackupHost, sourceWALHost}},
	} {
		if !slices.Contains(option.known, option.value) {
			return sdk.Errorf(sdk.Invalid, "--%s %s: it is one of %s", option.name, option.value, strings.Join(option.known, ", "))
		}
	}
	return nil
}

func runReplicationStatus(ctx context.Context, a *app, o replicationStatusOptions, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	return a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		if a.skipPassive(configured) {
			return nil
		}
		s, err := a.enabled(configured)
		if err != nil {
			return err
		}
		connect := s.Connect
		if o.source == sourceWALHost {
			connect = s.ConnectWAL
		}
		status := replicationStatus{server: s.Name(), options: o}
		if err := status.read(ctx, connect); err != nil {
			return fmt.Errorf("server %s: %w", s.Name(), err)
		}
		if slices.ContainsFunc(status.clients, func(c postgres.Client) bool { return c.State == "" }) {
			a.print().warn(fmt.Sprintf("server %s: the user of the connection may not see what the clients do: GRANT pg_read_all_stats to it", s.Name()))
		}
		a.print().answer(status)
		return nil
	})
}

// replicationStatus are the streaming clients of one server.
type replicationStatus struct {
	server  string
	options replicationStatusOptions
	standby bool // the server is one itself
	lsn     wal.LSN
	clients []postgres.Client
}

func (r *replicationStatus) read(ctx context.Context, connect func(context.Context) (*postgres.Conn, error)) error {
	return askPostgreSQL(ctx, connect, func(conn *postgres.Conn, facts postgres.Facts) (err error) {
		r.standby, r.lsn = facts.InRecovery, facts.LSN
		r.clients, err = conn.Clients(ctx)
		r.clients = slices.DeleteFunc(r.clients, func(c postgres.Client) bool {
			return r.options.target == clientsHotStandby && !c.Standby() || r.options.target == clientsWALStreamer && c.Standby()
		})
		return err
	})
}

func (r replicationStatus) title() string {
	switch r.options.target {
	case clientsHotStandby:
		return "hot standby servers"
	case clientsWALStreamer:
		return "WAL streamers"
	}
	return "streaming clients"
}

func (r replicationStatus) none() string { return "No " + r.title() + " attached" }

func (r replicationStatus) text(w io.Writer, _ style) {
	if r.options.minimal {
		r.minimal(w)
		return
	}
	fmt.Fprintf(w, "Status of %s for server '%s':\n", r.title(), r.server)
	fmt.Fprintf(w, "  Current LSN on master: %s\n", r.lsn)
	if len(r.clients) == 0 {
		fmt.Fprintf(w, "  %s\n", r.none())
		return
	}
	fmt.Fprintf(w, "  Number of %s: %d\n", r.title(), len(r.clients))
	for i, c := range r.clients {
		fmt.Fprintf(w, "\n  %d. %s\n", i+1, clientName(c))
		for _, row := range r.rows(c) {
			fmt.Fprintf(w, "     %-16s: %s\n", row.label, row.value)
		}
		for _, p := range positions(c) {
			fmt.Fprintf(w, "     %-11s: %s (diff: %s)\n", p.label, p.lsn, catalogue.PrettySize(r.behind(p.lsn)))
		}
	}
}

func (r replicationStatus) rows(c postgres.Client) []row {
	rows := []row{
		{"Application name", c.ApplicationName},
		{"Sync stage", r.stage(c)},
		{"Communication", communication(c)},
	}
	if c.Address != "" {
		rows = append(rows, row{"IP Address", fmt.Sprintf("%s / Port: %d / Host: %s", c.Address, c.Port, orDash(c.Host))})
	}
	rows = append(rows, row{"User name", c.User}, row{"Current state", fmt.Sprintf("%s (%s)", c.State, c.SyncState)})
	if c.Slot != "" {
		rows = append(rows, row{"Replication slot", c.Slot})
	}
	rows = append(rows, row{"WAL sender PID", fmt.Sprint(c.PID)}, row{"Started at", timestamp(c.StartedAt)})
	if c.BackendXmin != "" {
		rows = append(rows, row{"Standby's xmin", c.BackendXmin})
	}
	return rows
}

func communication(c postgres.Client) string {
	if c.Address == "" {
		return "Unix domain socket"
	}
	return "TCP/IP"
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// clientName is "Async standby" or "#1 Sync WAL streamer".
func clientName(c postgres.Client) string {
	name := strings.ToUpper(c.SyncState[:min(1, len(c.SyncState))]) + c.SyncState[min(1, len(c.SyncState)):]
	if c.SyncPriority > 0 {
		name = fmt.Sprintf("#%d %s", c.SyncPriority, name)
	}
	if c.Standby() {
		return name + " standby"
	}
	return strings.TrimSpace(name + " WAL streamer")
}

// stage tells how much of the server's WAL a client has, and how safely.
func (r replicationStatus) stage(c postgres.Client) string {
	most := 3
	if c.Standby() {
		most = 5
	}
	switch {
	case c.Standby() && c.Replayed >= r.lsn:
		return "5/5 Hot standby (max)"
	case c.Standby() && c.Flushed >= r.lsn:
		return "4/5 2-safe"
	case c.Written >= r.lsn:
		return fmt.Sprintf("3/%d Remote write", most)
	case c.Sent >= r.lsn:
		return fmt.Sprintf("2/%d WAL Sent (min)", most)
	}
	return fmt.Sprintf("1/%d 1-safe", most)
}

// position is how far a client is.
type position struct {
	label, key string
	lsn        wal.LSN
}

// positions are those that a client reported.
func positions(c postgres.Client) []position {
	all := []position{
		{"Sent LSN", "sent_lsn", c.Sent}, {"Write LSN", "write_lsn", c.Written}, {"Flush LSN", "flush_lsn", c.Flushed}, {"Replay LSN", "replay_lsn", c.Replayed},
	}
	return slices.DeleteFunc(all, func(p position) bool { return p.lsn == 0 })
}

// behind is negative for a client that has not everything.
func (r replicationStatus) behind(lsn wal.LSN) int64 { return int64(lsn) - int64(r.lsn) }

func (r replicationStatus) minimal(w io.Writer) {
	role := "master"
	if r.standby {
		role = "slave"
	}
	title := r.title()
	fmt.Fprintf(w, "%s%s for %s '%s' (LSN @ %s):\n", strings.ToUpper(title[:1]), strings.ToLower(title[1:]), role, r.server, r.lsn)
	if len(r.clients) == 0 {
		fmt.Fprintf(w, "  %s\n", r.none())
	}
	for i, c := range r.clients {
		if c.Standby() {
			fmt.Fprintf(w, "  %d. %s) %s@%s S:%s F:%s R:%s P:%d AN:%s\n", i+1, syncLetter(c), c.User, clientAddress(c), c.Sent, c.Flushed, c.Replayed, c.SyncPriority, c.ApplicationName)
			continue
		}
		fmt.Fprintf(w, "  %d. W) %s@%s S:%s W:%s P:%d AN:%s\n", i+1, c.User, clientAddress(c), c.Sent, c.Written, c.SyncPriority, c.ApplicationName)
	}
}

func syncLetter(c postgres.Client) string {
	return strings.ToUpper(c.SyncState[:min(1, len(c.SyncState))])
}

func clientAddress(c postgres.Client) string {
	if c.Address == "" {
		return "socket"
	}
	return c.Address
}

func (r replicationStatus) document() map[string]any {
	clients := make([]map[string]any, 0, len(r.clients))
	for _, c := range r.clients {
		if r.options.minimal {
			clients = append(clients, minimalDocument(c))
		} else {
			clients = append(clients, r.clientDocument(c))
		}
	}
	status := map[string]any{"server_lsn": r.lsn.String(), strings.ToLower(strings.ReplaceAll(r.title(), " ", "_")): clients}
	if len(clients) == 0 {
		status["standby_info"] = r.none()
	}
	return map[string]any{r.server: status}
}

func minimalDocument(c postgres.Client) map[string]any {
	client := map[string]any{
		"application_name": c.ApplicationName, "client_addr": clientAddress(c), "user_name": c.User, "sync_priority": c.SyncPriority,
		"sent_lsn": c.Sent.String(),
	}
	if c.Standby() {
		client["sync_state"], client["flush_lsn"], client["replay_lsn"] = syncLetter(c), c.Flushed.String(), c.Replayed.String()
	} else {
		client["write_lsn"] = c.Written.String()
	}
	return client
}

func (r replicationStatus) clientDocument(c postgres.Client) map[string]any {
	client := map[string]any{
		"name": clientName(c), "application_name": c.ApplicationName, "sync_stage": r.stage(c), "communication": communication(c),
		"user_name": c.User, "current_state": c.State, "current_sync_state": c.SyncState, "wal_sender_pid": c.PID,
		"started_at": timestamp(c.StartedAt),
	}
	if c.Address != "" {
		client["ip_address"], client["port"], client["host"] = c.Address, c.Port, orNull(c.Host)
	}
	set(client, "replication_slot", c.Slot)
	set(client, "standbys_xmin", c.BackendXmin)
	for _, p := range positions(c) {
		client[p.key] = p.lsn.String()
		client[p.key+"_diff"], client[p.key+"_diff_bytes"] = catalogue.PrettySize(r.behind(p.lsn)), r.behind(p.lsn)
	}
	return client
}
