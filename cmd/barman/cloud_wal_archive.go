package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// codecFlags choose a compression.
type codecFlags struct {
	chosen map[string]*bool
	level  string
}

// addFlags adds an option for each codec of a command, with those letters that
// Python has.
func (f *codecFlags) addFlags(flags *pflag.FlagSet, what string, codecs ...string) {
	letters := map[string]string{codec.Gzip: "z", codec.Bzip2: "j"}
	f.chosen = map[string]*bool{}
	for _, name := range codecs {
		f.chosen[name] = flags.BoolP(name, letters[name], false, "compress "+what+" with "+name)
	}
	flags.StringVar(&f.level, "compression-level", "", "`LEVEL` of compression: a number on the codec's scale, low, medium or high")
}

// compression is what was chosen.
func (f *codecFlags) compression() (cloud.Compression, error) {
	var c cloud.Compression
	for name, chosen := range f.chosen {
		switch {
		case *chosen && c.Codec != "":
			return c, sdk.Errorf(sdk.Invalid, "--%s and --%s: choose one compression", min(name, c.Codec), max(name, c.Codec))
		case *chosen:
			c.Codec = name
		}
	}
	var err error
	c.Level, err = codec.ParseLevel(f.level)
	return c, err
}

func newCloudWALArchiveCommand(a *app) *cobra.Command {
	o := cloudFlags{patience: brief}
	var compress codecFlags
	cmd := &cobra.Command{
		Use:   "wal-archive DESTINATION_URL SERVER_NAME [WAL_PATH]",
		Short: "Archive a WAL file in a bucket, as archive_command",
		Long: `Put a WAL file into a bucket. It is meant for archive_command: when it ends with 0
the file is durable there. A file that is archived already is fine; another one under
the same name is an error, and the bucket stays as it is. A file that is compressed
already is stored as it is.

Without WAL_PATH it is a hook of a Barman server, pre_archive_script or
pre_archive_retry_script, and archives what BARMAN_FILE names.

` + cloudExitCodesHelp + `
PostgreSQL calls this command, so that a signal ends it with 2.`,
		Example: "  archive_command = 'barman-cloud-wal-archive --gzip s3://backups/pg main %p'\n" +
			"  pre_archive_retry_script = 'barman-cloud-wal-archive s3://backups/pg ${BARMAN_SERVER}'",
	}
	addCloud(a, cmd, &o, 0, 1, func(ctx context.Context, store *cloud.Store, args []string) error {
		return forArchiveCommand(ctx, runCloudWALArchive(ctx, a, store, &compress, args))
	})
	compress.addFlags(cmd.Flags(), "the file", codec.Gzip, codec.Bzip2, codec.XZ, codec.Snappy, codec.Zstd, codec.LZ4)
	o.addTags(cmd)
	o.addHistoryTags(cmd)
	o.addEncryption(cmd)
	o.addAzureUpload(cmd.Flags())
	cmd.ValidArgsFunction = completeCloud(cobra.ShellCompDirectiveDefault)
	return cmd
}

func runCloudWALArchive(ctx context.Context, a *app, store *cloud.Store, compress *codecFlags, args []string) error {
	compression, err := compress.compression()
	if err != nil {
		return err
	}
	path, err := fileToArchive(args)
	if err != nil {
		return err
	}
	if err := store.ArchiveWAL(ctx, path, compression); err != nil {
		return err
	}
	a.print().answer(cloudArchived{store.Server().Name, path})
	return nil
}

// fileToArchive is WAL_PATH, or what a Barman server tells its hooks.
func fileToArchive(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	hook, phase, file := os.Getenv("BARMAN_HOOK"), os.Getenv("BARMAN_PHASE"), os.Getenv("BARMAN_FILE")
	switch {
	case hook == "":
		return "", sdk.Errorf(sdk.Invalid, "there is no WAL_PATH, and this is no hook of a Barman server, which would set BARMAN_FILE")
	case hook != "archive_script" && hook != "archive_retry_script" || phase != "pre":
		return "", sdk.Errorf(sdk.Invalid, "this hook is %s, phase %s: use pre_archive_script or pre_archive_retry_script", hook, phase)
	case file == "":
		return "", sdk.Errorf(sdk.Invalid, "BARMAN_FILE is not set: a Barman server sets it for its hooks")
	}
	return file, nil
}

// cloudArchived is a file that is durable in the bucket.
type cloudArchived struct{ server, path string }

// text says nothing: PostgreSQL would log it with every segment.
func (cloudArchived) text(io.Writer, style) {}

func (c cloudArchived) document() map[string]any {
	return map[string]any{c.server: map[string]any{"path": c.path}}
}

// completeCloud leaves URL and server to whoever types, and completes what comes
// behind them.
func completeCloud(behind cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) < 2 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, behind
	}
}
