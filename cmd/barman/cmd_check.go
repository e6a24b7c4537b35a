package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/check"
	"github.com/barman-go/barman/core/config"
)

type checkOptions struct {
	nagios  bool
	timeout *time.Duration // nil leaves it to the configuration
}

func newCheckCommand(a *app) *cobra.Command {
	var o checkOptions
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check SERVER…",
		Short: "Check that servers can be backed up and recovered",
		Long: `Check the connections, catalogue, WAL and plugins of one or more servers, or of
"all". Every check is a line; a failed one says what to do.

The exit code is 1 when a check of an active server failed. With --nagios the
output and the exit code are those of a Nagios plugin: 0 good, 2 critical, which
a mistake in the configuration is too.

` + exitCodesHelp,
		Example:           "  barman check main\n  barman check all --nagios\n  barman -f json check main",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("check-timeout") {
				o.timeout = &timeout
			}
			return runCheck(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().BoolVar(&o.nagios, "nagios", false, "print in the form of a Nagios plugin")
	durationVar(cmd.Flags(), &timeout, "check-timeout", "how long the checks of a server may take; 0 is without limit (default check_timeout of the configuration)")
	return cmd
}

func runCheck(ctx context.Context, a *app, o checkOptions, args []string) error {
	if err := a.warnOfConfiguration(); err != nil {
		if !o.nagios {
			return err
		}
		a.report(err)
		a.print().answer(misconfigured{})
		return &failures{errs: []error{errCritical{}}, of: 1}
	}
	var reports []serverReport
	err := a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		s, err := a.inspected(configured)
		if err != nil {
			return err
		}
		if o.timeout != nil {
			configured.CheckTimeout = *o.timeout
		}
		report := serverReport{server: s.Name(), title: serverTitle(configured), active: configured.Active, Report: check.Server(ctx, s, time.Now())}
		if isInterrupted(ctx) {
			return fmt.Errorf("check of server %s: %w", s.Name(), context.Cause(ctx))
		}
		reports = append(reports, report)
		if !o.nagios {
			a.print().answer(report)
		}
		return nil
	})
	if o.nagios {
		return nagios(a, reports, err)
	}
	if err != nil {
		return err
	}
	for _, r := range reports {
		if r.active && len(r.Failed()) > 0 {
			return &failures{errs: []error{errChecksFailed{}}, of: 1}
		}
	}
	return nil
}

// errChecksFailed stands for failed rows, which have been printed.
type errChecksFailed struct{}

func (errChecksFailed) Error() string { return "a check failed" }
func (errChecksFailed) exitCode() int { return exitFailed }

// serverReport is the report of one server.
type serverReport struct {
	server, title string
	active        bool
	check.Report
}

func (r serverReport) text(w io.Writer, s style) {
	fmt.Fprintln(w, r.title+":")
	for _, row := range r.Rows {
		state := s.good("OK")
		if !row.OK {
			state = s.bad("FAILED")
		}
		fmt.Fprintf(w, "\t%s: %s%s\n", row.Name, state, inParentheses(row.Hint))
		for _, detail := range row.Details {
			fmt.Fprintf(w, "\t\t%s\n", detail)
		}
	}
}

func inParentheses(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

func (r serverReport) document() map[string]any {
	key := strings.NewReplacer(" ", "_", "-", "_", ".", "")
	rows := map[string]any{}
	for _, row := range r.Rows {
		status := "OK"
		if !row.OK {
			status = "FAILED"
		}
		rows[key.Replace(strings.ToLower(row.Name))] = map[string]any{"status": status, "hint": row.Hint}
	}
	return map[string]any{r.server: rows}
}

// nagios prints the reports as a Nagios plugin does. Whatever kept a server from
// being checked is critical too.
func nagios(a *app, reports []serverReport, err error) error {
	n := nagiosReport{err: err}
	for _, r := range reports {
		n.performance = append(n.performance, fmt.Sprintf("%s=%dB %s_wals=%dB", r.server, r.BackupSize, r.server, r.WALSize))
		switch {
		case len(r.Failed()) == 0:
			n.good = append(n.good, r.server)
		case r.active:
			n.failed = append(n.failed, r)
		default:
			n.ignored = append(n.ignored, r.server)
		}
	}
	a.print().answer(n)
	if err != nil {
		return err
	}
	if len(n.failed) > 0 {
		return &failures{errs: []error{errCritical{}}, of: 1}
	}
	return nil
}

// errCritical is the state of a Nagios plugin.
type errCritical struct{}

func (errCritical) Error() string { return "critical" }
func (errCritical) exitCode() int { return exitNagiosCritical }

// misconfigured is what a Nagios plugin says when it does not come to check
// anything.
type misconfigured struct{}

func (misconfigured) text(w io.Writer, _ style) {
	fmt.Fprintln(w, "BARMAN CRITICAL - Global configuration errors")
}

func (misconfigured) document() map[string]any { return map[string]any{"status": "CRITICAL"} }

// exitNagiosCritical is Nagios' own: 2 is critical.
const exitNagiosCritical = 2

type nagiosReport struct {
	failed        []serverReport
	good, ignored []string
	performance   []string
	err           error
}

func (n nagiosReport) text(w io.Writer, _ style) {
	var perf string
	if len(n.performance) > 0 {
		perf = "|" + strings.Join(n.performance, " ")
	}
	switch total := len(n.good) + len(n.ignored) + len(n.failed); {
	case n.err != nil && len(n.failed) == 0:
		fmt.Fprintf(w, "BARMAN CRITICAL - %s\n", strings.ReplaceAll(n.err.Error(), "\n", "; "))
	case len(n.failed) == 0:
		fmt.Fprintf(w, "BARMAN OK - %s%s%s\n", n.ready(), n.ignoring(), perf)
	case total == 1:
		fmt.Fprintf(w, "BARMAN CRITICAL - server %s has issues%s%s%s\n", n.failed[0].server, n.summary(), n.ignoring(), perf)
	default:
		fmt.Fprintf(w, "BARMAN CRITICAL - %d server out of %d have issues%s%s%s\n", len(n.failed), total, n.summary(), n.ignoring(), perf)
	}
	for _, r := range n.failed {
		for _, row := range r.Failed() {
			fmt.Fprintf(w, "%s.%s: FAILED%s\n", r.server, row.Name, inParentheses(row.Hint))
		}
	}
}

func (n nagiosReport) ready() string {
	names := slices.Concat(n.good, n.ignored)
	switch len(names) {
	case 0:
		return "No server configured"
	case 1:
		return "Ready to serve the Espresso backup for " + names[0]
	}
	return fmt.Sprintf("Ready to serve the Espresso backup for %d servers * %s", len(names), strings.Join(n.good, " * "))
}

func (n nagiosReport) summary() string {
	var b strings.Builder
	for _, r := range n.failed {
		var names []string
		for _, row := range r.Failed() {
			names = append(names, row.Name)
		}
		fmt.Fprintf(&b, " * %s FAILED: %s", r.server, strings.Join(names, ", "))
	}
	return b.String()
}

func (n nagiosReport) ignoring() string {
	if len(n.ignored) == 0 {
		return ""
	}
	return " * IGNORING: " + strings.Join(n.ignored, " * IGNORING: ")
}

func (n nagiosReport) document() map[string]any {
	servers := map[string]any{}
	for _, r := range n.failed {
		servers[r.server] = r.document()[r.server]
	}
	status := "OK"
	if len(n.failed) > 0 || n.err != nil {
		status = "CRITICAL"
	}
	return map[string]any{"status": status, "failed": servers, "ignored": n.ignored}
}
