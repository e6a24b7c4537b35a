package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/continuity"
	"github.com/barman-go/barman/sdk"
)

func newWALGapsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wal-gaps SERVER…",
		Short: "Look for WAL segments that are missing between the backups and now",
		Long: `Look for WAL segments of one or more servers, or of "all", that are missing
between the begin of the oldest backup and the newest segment, on every timeline
that a backup can be led to: on a parent up to where its child begins, then on
the child. Segments that wait to be archived count as present, empty files and
partial segments do not.

Each gap is a line with its first and last segment and the backups that it
affects; then follows how far each backup can be recovered. The exit code is 1
when there is a gap.

` + exitCodesHelp,
		Example:           "  barman wal-gaps main\n  barman wal-gaps all\n  barman -f json wal-gaps main",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE:              func(cmd *cobra.Command, args []string) error { return runWALGaps(cmd.Context(), a, args) },
	}
}

func runWALGaps(ctx context.Context, a *app, args []string) error {
	gaps := false
	err := a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		s, err := a.open(configured)
		if err != nil {
			return err
		}
		report, err := continuity.Check(ctx, s)
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return err
		}
		for _, unread := range report.Unread {
			a.print().warn(strings.ReplaceAll(unread.Error(), "\n", "; "))
		}
		for _, timeline := range report.NoHistory {
			a.print().warn(fmt.Sprintf("server %s: there is WAL of timeline %d, but not its history, file %s.history: no older backup can be led to it",
				s.Name(), timeline, timeline))
		}
		if report.Lost() {
			a.print().warn(fmt.Sprintf("server %s: %s", s.Name(), report))
		}
		a.print().answer(walGaps{server: s.Name(), Report: report})
		gaps = gaps || len(report.Gaps) > 0
		return err
	})
	if err == nil && gaps {
		return &failures{errs: []error{errGaps{}}, of: 1}
	}
	return err
}

// errGaps stands for gaps, which have been printed.
type errGaps struct{}

func (errGaps) Error() string { return "WAL is missing" }
func (errGaps) exitCode() int { return exitFailed }

// walGaps are the gaps of one server.
type walGaps struct {
	server string
	continuity.Report
}

func (g walGaps) text(w io.Writer, s style) {
	fmt.Fprintf(w, "Server %s:\n", g.server)
	if len(g.Checked) == 0 && len(g.Backups) == 0 {
		fmt.Fprintln(w, "\tno backup needs WAL yet")
		return
	}
	for _, gap := range g.Gaps {
		fmt.Fprintf(w, "\t%s: %s..%s, %s, timeline %d, needed by %s\n",
			s.bad("missing"), gap.First, gap.Last, plural(gap.Count, "segment"), gap.Timeline, strings.Join(ids(gap.Backups), ", "))
	}
	if len(g.Gaps) == 0 {
		for _, checked := range g.Checked {
			fmt.Fprintf(w, "\t%s: %s..%s, %s, timeline %d\n", s.good("complete"), checked.First, checked.Last, plural(checked.Count, "segment"), checked.Timeline)
		}
	}
	if g.Streaming+g.Incoming > 0 {
		fmt.Fprintf(w, "\twaiting to be archived: %s received, %s delivered by archive_command\n", plural(g.Streaming, "segment"), plural(g.Incoming, "segment"))
	}
	for _, b := range g.Backups {
		fmt.Fprintf(w, "\tbackup %s: %s\n", b.ID, reachText(b, s))
	}
}

func reachText(b catalogue.Reach, s style) string {
	switch {
	case b.Missing != "" && !b.Usable:
		return s.bad("cannot be recovered") + ": " + b.Missing + " is missing"
	case !b.Newest:
		return s.bad(fmt.Sprintf("can be recovered up to %s on timeline %d", b.Until, b.UntilTimeline)) + ": " + b.Missing + " is missing"
	case !b.Usable:
		return s.notice("waits for WAL up to its end")
	}
	return fmt.Sprintf("can be recovered to the newest WAL, %s on timeline %d", b.Until, b.UntilTimeline)
}

// plural is "1 segment" or "2 segments".
func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func ids(backups []catalogue.BackupID) []string {
	texts := make([]string, 0, len(backups))
	for _, id := range backups {
		texts = append(texts, string(id))
	}
	return texts
}

func (g walGaps) document() map[string]any {
	gaps := make([]map[string]any, 0, len(g.Gaps))
	for _, gap := range g.Gaps {
		gaps = append(gaps, map[string]any{
			"timeline": uint32(gap.Timeline), "first": gap.First, "last": gap.Last, "count": gap.Count, "backups": gap.Backups,
		})
	}
	checked := make([]map[string]any, 0, len(g.Checked))
	for _, c := range g.Checked {
		checked = append(checked, map[string]any{"timeline": uint32(c.Timeline), "first": c.First, "last": c.Last, "count": c.Count})
	}
	backups := make([]map[string]any, 0, len(g.Backups))
	for _, b := range g.Backups {
		backups = append(backups, map[string]any{
			"backup_id": b.ID, "recoverable": b.Usable, "to_newest": b.Newest && b.Usable, "newest_timeline": uint32(b.Timeline),
			"first_missing": orNull(b.Missing), "until_lsn": b.Until.String(), "until_timeline": uint32(b.UntilTimeline),
		})
	}
	return map[string]any{g.server: map[string]any{
		"gaps": gaps, "missing": g.Missing(), "checked": checked, "backups": backups,
		"archived": g.Archived, "waiting": map[string]any{"streaming": g.Streaming, "incoming": g.Incoming},
	}}
}
