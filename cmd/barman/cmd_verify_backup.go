package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/verify"
)

type verifyBackupOptions struct{ noParseWAL bool }

func newVerifyBackupCommand(a *app) *cobra.Command {
	var o verifyBackupOptions
	cmd := &cobra.Command{
		Use:     "verify-backup SERVER BACKUP",
		Aliases: []string{"verify"},
		Short:   "Verify that a backup is still what was taken",
		Long: `Read all of a backup and hold it against the manifest that PostgreSQL made of it:
sizes and checksums of the files, files that are missing and such that do not
belong there, and the WAL that the backup needs. What was stored is held against
barman's own receipts as well, which name the stored object that is damaged.
Neither pg_verifybackup nor any space on disk is needed; compressed and encrypted
backups, tar files and backups in a store elsewhere are read like the others.

Left out is what pg_verifybackup leaves out: postgresql.auto.conf,
recovery.signal and standby.signal. A backup without a manifest, of PostgreSQL 12
for instance, is held against the receipts alone; see also generate-manifest.

Each problem is a line with the file and what is wrong with it. The exit code is
6 when there is one.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full and last-full.

` + exitCodesHelp,
		Example:           "  barman verify-backup main latest\n  barman verify-backup main 20240110T120000 --no-parse-wal\n  barman -f json verify-backup main latest",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerifyBackup(cmd.Context(), a, o, args[0], args[1])
		},
	}
	cmd.Flags().BoolVarP(&o.noParseWAL, "no-parse-wal", "n", false, "leave out the WAL that the backup needs")
	return cmd
}

func runVerifyBackup(ctx context.Context, a *app, o verifyBackupOptions, name, reference string) error {
	s, err := a.server(name, a.inspected)
	if err != nil {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	tell, end := a.progress(fmt.Sprintf("verifying %s", b.ID))
	report, err := verify.Run(ctx, s, verify.Request{Backup: b, SkipWAL: o.noParseWAL, Progress: tell})
	end()
	for _, warning := range report.Warnings {
		a.print().warn(warning)
	}
	if err == nil || len(report.Problems) > 0 {
		a.print().answer(verifiedBackup{server: s.Name(), skippedWAL: o.noParseWAL, complete: err == nil, report: report})
	}
	if err != nil {
		return err
	}
	if report.Damaged() {
		return damagedBackup{server: s.Name(), backup: b.ID, problems: len(report.Problems) + report.More}
	}
	return nil
}

// damagedBackup is the error of a backup with problems, which have been printed.
type damagedBackup struct {
	server   string
	backup   catalogue.BackupID
	problems int
}

func (d damagedBackup) Error() string {
	return fmt.Sprintf("backup %s of server %s is damaged: %s", d.backup, d.server, plural(d.problems, "problem"))
}

func (damagedBackup) exitCode() int { return exitCorrupt }

// verifiedBackup is what was found out about a backup.
type verifiedBackup struct {
	server     string
	skippedWAL bool
	complete   bool
	report     verify.Report
}

func (v verifiedBackup) text(w io.Writer, s style) {
	r := v.report
	fmt.Fprintf(w, "Verifying backup %s on server %s\n", r.Backup, v.server)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "\t%s: %s\n", s.bad("FAILED"), p)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "\t%s: there are %d more problems\n", s.bad("FAILED"), r.More)
	}
	against := "nothing"
	switch {
	case r.Manifest && r.Receipts:
		against = "the manifest and the receipts"
	case r.Manifest:
		against = "the manifest"
	case r.Receipts:
		against = "the receipts"
	}
	fmt.Fprintf(w, "%s, %s, held against %s; ", plural(int(r.Files), "file"), catalogue.PrettySize(r.Bytes), against)
	if v.skippedWAL {
		fmt.Fprintln(w, "WAL left out")
	} else {
		fmt.Fprintf(w, "%s of WAL\n", plural(r.Segments, "segment"))
	}
	if v.complete && !r.Damaged() {
		fmt.Fprintln(w, s.good("backup successfully verified"))
	}
}

func (v verifiedBackup) document() map[string]any {
	status := "OK"
	if v.report.Damaged() || !v.complete {
		status = "FAILED"
	}
	problems := v.report.Problems
	if problems == nil {
		problems = []verify.Problem{}
	}
	return map[string]any{v.server: map[string]any{
		"backup_id": v.report.Backup, "status": status, "files": v.report.Files, "bytes": v.report.Bytes,
		"manifest": v.report.Manifest, "receipts": v.report.Receipts, "wal_segments": v.report.Segments, "wal_verified": v.complete && !v.skippedWAL,
		"problems": problems, "more_problems": v.report.More, "elapsed_seconds": v.report.Elapsed.Seconds(),
	}}
}
