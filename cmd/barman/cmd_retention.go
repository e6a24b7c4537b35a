package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/removal"
	"github.com/barman-go/barman/core/retention"
)

type retentionOptions struct{ enforce bool }

func newRetentionCommand(a *app) *cobra.Command {
	var o retentionOptions
	cmd := &cobra.Command{
		Use:   "retention SERVER…",
		Short: "Show what the retention policy keeps and what it deletes",
		Long: `Show for one or more servers, or "all", what their retention policy says of each
backup, newest first, and which backups and WAL files are going to be deleted.
With --enforce they are deleted, which 'barman cron' does by itself.

VALID     the policy keeps it      OBSOLETE   it is going to be deleted
OBSOLETE* minimum_redundancy keeps it
KEEP:…    'barman keep' keeps it   -          it is not complete, or no policy

` + exitCodesHelp,
		Example:           "  barman retention main\n  barman -f json retention all\n  barman retention main --enforce",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRetention(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().BoolVar(&o.enforce, "enforce", false, "delete what is obsolete")
	return cmd
}

func runRetention(ctx context.Context, a *app, o retentionOptions, args []string) error {
	return a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		s, err := a.open(configured)
		if err != nil || o.enforce && a.skipInactive(configured) {
			return err
		}
		entries, err := readEntries(s)
		if err != nil {
			return err
		}
		verdicts, err := removal.Judge(s, entries, time.Now())
		if err != nil {
			return err
		}
		shown := judgement{server: configured, verdicts: verdicts, enforced: o.enforce}
		shown.deleted, err = removal.Enforce(ctx, s, removal.Options{DryRun: !o.enforce})
		a.print().answer(shown)
		return err
	})
}

// judgement is what a server's policy says.
type judgement struct {
	server   *config.Server
	verdicts map[catalogue.BackupID]retention.Verdict
	enforced bool
	deleted  []removal.Deleted
}

// ids are those of the backups, newest first.
func (j judgement) ids() []catalogue.BackupID {
	var ids []catalogue.BackupID
	for id := range j.verdicts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids
}

func (j judgement) text(w io.Writer, s style) {
	fmt.Fprintf(w, "Server %s: %s\n", j.server.Name, policyOf(j.server))
	for _, id := range j.ids() {
		verdict := string(j.verdicts[id])
		if j.verdicts[id] == retention.Obsolete {
			verdict = s.notice(verdict)
		}
		fmt.Fprintf(w, "\t%s: %s\n", id, verdict)
	}
	would := "would be deleted"
	if j.enforced {
		would = "deleted"
	}
	for _, gone := range j.deleted {
		fmt.Fprintf(w, "\t%s %s%s\n", gone.ID, would, walOf(gone))
	}
}

// policyOf describes a server's policy.
func policyOf(s *config.Server) string {
	policy := s.Retention.Policy.String()
	if policy == "" {
		policy = "no retention policy"
	}
	if s.Retention.MinimumRedundancy > 0 {
		policy += fmt.Sprintf(", minimum redundancy %d", s.Retention.MinimumRedundancy)
	}
	return policy
}

func (j judgement) document() map[string]any {
	backups := make([]map[string]any, 0, len(j.verdicts))
	for _, id := range j.ids() {
		backups = append(backups, map[string]any{"backup_id": id, "retention_status": j.verdicts[id]})
	}
	return map[string]any{j.server.Name: map[string]any{
		"policy": orNull(j.server.Retention.Policy.String()), "minimum_redundancy": j.server.Retention.MinimumRedundancy,
		"backups": backups, "deleted": deletedDocument(j.deleted), "dry_run": !j.enforced,
	}}
}
