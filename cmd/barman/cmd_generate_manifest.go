package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/verify"
)

func newGenerateManifestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "generate-manifest SERVER BACKUP",
		Short: "Make the manifest of a backup that has none",
		Long: `Make the manifest, backup_manifest in the data directory, of a backup that has
none, of PostgreSQL 12 or older or by Python Barman with rsync: sizes and
SHA-256 checksums of the files as they are now, those in tablespaces included.
verify-backup and PostgreSQL's own pg_verifybackup hold the backup against it
from then on.

Only backups of plain files on this machine can have one. A manifest that exists
is never replaced. As a post_backup hook the command makes the manifest of each
backup right after it was taken.

BACKUP is an ID, a name given with 'barman backup --name', or one of latest,
last, oldest, first, latest-full and last-full.

` + exitCodesHelp,
		Example:           "  barman generate-manifest main latest\n  barman generate-manifest main 20240110T120000",
		Args:              exactly(2, "a server and a backup"),
		ValidArgsFunction: a.completeBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runGenerateManifest(cmd.Context(), a, args[0], args[1])
		},
	}
}

func runGenerateManifest(ctx context.Context, a *app, name, reference string) error {
	s, err := a.server(name, a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	b, err := s.Catalogue.Resolve(reference)
	if err != nil {
		return err
	}
	tell, end := a.progress(fmt.Sprintf("reading %s", b.ID))
	made, err := verify.GenerateManifest(ctx, s, b, tell)
	end()
	if err != nil {
		return err
	}
	for _, warning := range made.Warnings {
		a.print().warn(warning)
	}
	a.print().answer(generatedManifest{server: s.Name(), backup: b.ID, made: made})
	return nil
}

// generatedManifest is a manifest that was made.
type generatedManifest struct {
	server string
	backup catalogue.BackupID
	made   verify.Generated
}

func (g generatedManifest) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Backup manifest for backup '%s' successfully generated for server %s\n", g.backup, g.server)
	fmt.Fprintf(w, "%s: %s, %s\n", g.made.Path, plural(int(g.made.Files), "file"), catalogue.PrettySize(g.made.Bytes))
}

func (g generatedManifest) document() map[string]any {
	return map[string]any{g.server: map[string]any{
		"backup_id": g.backup, "manifest": g.made.Path, "files": g.made.Files, "bytes": g.made.Bytes,
	}}
}
