package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
)

// cloudKeep are the options of backup-keep.
type cloudKeep struct {
	release, status bool
	target          string
}

func newCloudBackupKeepCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	var keep cloudKeep
	cmd := &cobra.Command{
		Use:   "backup-keep SOURCE_URL SERVER_NAME BACKUP_ID",
		Short: "Keep a backup in a bucket whatever the retention policy says",
		Long: `Keep a backup in a bucket whatever a retention policy says: with all WAL from its
begin on (--target full), or with the WAL that it needs itself (standalone). Only one
that is DONE can be kept.

` + cloudBackupHelp + `

` + cloudExitCodesHelp,
		Example: "  barman-cloud-backup-keep --target standalone s3://backups/pg main 20260102T030405\n" +
			"  barman-cloud-backup-keep --status s3://backups/pg main latest",
	}
	addCloud(a, cmd, &o, 1, 1, func(ctx context.Context, store *cloud.Store, args []string) error {
		return keep.run(ctx, a, cmd, store, args[0])
	})
	flags := cmd.Flags()
	flags.BoolVarP(&keep.release, "release", "r", false, "let it go again")
	flags.BoolVarP(&keep.status, "status", "s", false, "print how it is kept")
	flags.StringVar(&keep.target, "target", "", "`TARGET` that can be recovered to: full or standalone")
	completeFlag(cmd, "target", catalogue.KeepFull, catalogue.KeepStandalone)
	return cmd
}

func (k cloudKeep) run(ctx context.Context, a *app, cmd *cobra.Command, store *cloud.Store, reference string) error {
	chosen := 0
	for _, set := range []bool{k.release, k.status, k.target != ""} {
		if set {
			chosen++
		}
	}
	if chosen != 1 {
		return usageError(cmd, "choose one of --release, --status and --target")
	}
	var err error
	switch {
	case k.release:
		err = store.LetGo(ctx, reference)
	case k.status:
		err = showCloudKeep(ctx, a, store, reference)
	case !slices.Contains([]string{catalogue.KeepFull, catalogue.KeepStandalone}, k.target):
		return usageError(cmd, fmt.Sprintf("--target %s: it is full or standalone", k.target))
	default:
		err = store.Keep(ctx, reference, k.target)
	}
	var unknown *cloud.UnknownIDError
	if errors.As(err, &unknown) || sdk.KindOf(err) == sdk.Invalid || sdk.KindOf(err) == sdk.Busy {
		return cloudFailed(err)
	}
	return err
}

func showCloudKeep(ctx context.Context, a *app, store *cloud.Store, reference string) error {
	found, err := store.Catalogue(ctx)
	if err != nil {
		return err
	}
	b, err := found.Resolve(reference)
	if err == nil {
		a.print().answer(cloudKept{cmp.Or(found.Keep(b.ID), "nokeep")})
	}
	return err
}

// cloudKept is how a backup is kept.
type cloudKept struct{ how string }

func (k cloudKept) text(w io.Writer, _ style) { fmt.Fprintf(w, "Keep: %s\n", k.how) }

func (k cloudKept) document() map[string]any { return map[string]any{"keep": k.how} }
