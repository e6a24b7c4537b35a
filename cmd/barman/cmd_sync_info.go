package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/diagnosis"
	"github.com/barman-go/barman/core/passive"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

func newSyncInfoCommand(a *app) *cobra.Command {
	var primary bool
	cmd := &cobra.Command{
		Use:   "sync-info SERVER [LAST_WAL [LAST_POSITION]]",
		Short: "Tell another Barman what there is to copy of a server",
		Long: `Print, as a JSON document, what a passive node needs to copy a server: its
complete backups, the files of its WAL archive, and its configuration. With
LAST_WAL only WAL behind that file is listed; LAST_POSITION is where its line
began in the index, which saves reading what comes before.

With --primary, on a passive node, it is the primary that is asked.

` + exitCodesHelp,
		Example:           "  barman sync-info main\n  barman sync-info main 00000001000000000000000A 4096\n  barman sync-info --primary main",
		Args:              syncInfoArguments,
		ValidArgsFunction: a.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSyncInfo(cmd.Context(), a, primary, args)
		},
	}
	cmd.Flags().BoolVar(&primary, "primary", false, "on a passive node: ask the Barman that it is copied from")
	return cmd
}

func syncInfoArguments(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 3 {
		return usageError(cmd, fmt.Sprintf("%s takes a server, a WAL file and a position, the last two of which may be left out, not %d arguments", cmd.CommandPath(), len(args)))
	}
	return nil
}

func runSyncInfo(ctx context.Context, a *app, primary bool, args []string) error {
	after, err := positionOf(args[1:])
	if err != nil {
		return err
	}
	s, err := a.server(args[0], a.enabled)
	if err != nil || a.skipInactive(s.Config) {
		return err
	}
	if primary {
		p, err := passive.Of(s)
		if err != nil {
			return err
		}
		told, err := p.Told(ctx, after)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(told)
		return err
	}
	info, err := passive.Collect(ctx, s, after, settingsOf(a.config, s))
	if err != nil {
		return err
	}
	// The document is the answer, whatever the format.
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "    ")
	return out.Encode(info)
}

// positionOf reads the arguments that tell how far a passive node is.
func positionOf(args []string) (passive.Position, error) {
	var after passive.Position
	if len(args) > 0 {
		after.Name = args[0]
	}
	if len(args) > 1 {
		offset, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil || offset < 1 {
			return after, sdk.Errorf(sdk.Invalid, "last position %q: it is a number from 1", args[1])
		}
		after.Offset = offset
	}
	return after, nil
}

// settingsOf is what holds for a server, by the names of Barman in Python, without
// passwords.
func settingsOf(loaded *config.Config, s *server.Server) map[string]any {
	settings := map[string]any{"name": s.Name(), "barman_home": loaded.Global.Home, "barman_lock_directory": loaded.Global.LockDirectory}
	for _, o := range diagnosis.Options(loaded, s.Config) {
		settings[o.Name] = o.Value
	}
	return settings
}
