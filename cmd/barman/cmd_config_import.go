package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

type importOptions struct {
	output    string
	overwrite bool
}

func newConfigImportCommand(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Say in HCL what a barman.conf of Python Barman says",
		Long: `Read a barman.conf, the files of its configuration_files_directory and what
config-update has changed, and print HCL that says the same. What has no effect
here is named with the reason, on standard error and in a comment; a server that
cannot be used is there as a comment, and the exit code is 7.

With -f json the HCL goes to the file of --output only. It may hold passwords: the
file gets the mode 0600, and belongs to barman_user if root writes it. It does not
replace another one unless asked to.

Nothing has to be imported for barman to run: "barman -c /etc/barman.conf" reads
a barman.conf as it is.

` + exitCodesHelp,
		Example: "  barman config import /etc/barman.conf\n  barman config import /etc/barman.conf --output /etc/barman.hcl",
		Args:    exactly(1, "a barman.conf"),
		RunE:    func(_ *cobra.Command, args []string) error { return runConfigImport(a, o, args[0]) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to a `FILE` instead of standard output")
	cmd.Flags().BoolVar(&o.overwrite, "overwrite", false, "replace the file of --output")
	return cmd
}

func runConfigImport(a *app, o importOptions, path string) error {
	if o.overwrite && o.output == "" {
		return sdk.Errorf(sdk.Invalid, "--overwrite is for --output")
	}
	imported, err := config.System().Import(path)
	if err != nil {
		return err
	}
	if o.output != "" {
		if err := o.write(imported); err != nil {
			return err
		}
	}
	for _, message := range config.Messages(imported.Warnings) {
		a.print().warn(oneLine(message))
	}
	a.print().answer(importedConfig{from: path, to: o.output, imported: imported})
	if o.output == "" && a.options.format == formatConsole {
		// As it is: an answer would have its passwords masked.
		if _, err := a.stdout.Write(imported.HCL); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	if problems := imported.Err(); problems != nil {
		var found *config.Error
		if errors.As(problems, &found) {
			a.print().diagnose(found)
		}
		return &failures{errs: []error{problems}, of: 2} // the other servers are done
	}
	return nil
}

// write makes the file of --output.
func (o importOptions) write(imported *config.Imported) (err error) {
	file, err := durable.NewReplacement(o.output, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(imported.HCL); err != nil {
		return errors.Join(err, file.Abort())
	}
	if err := giveTo(imported.User, file.Temporary()); err != nil {
		return errors.Join(err, file.Abort())
	}
	if o.overwrite {
		return file.Commit()
	}
	err = file.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(sdk.Errorf(sdk.Exists, "%s is there already; --overwrite replaces it", o.output), file.Abort())
	}
	return err
}

// giveTo makes a file that root writes for another user that user's.
func giveTo(name, path string) error {
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	found, err := lookUpUser(name)
	if err != nil {
		return nil // then nobody can run barman as that user either
	}
	return os.Chown(path, found.uid, found.gid)
}

// importedConfig is the answer of config import.
type importedConfig struct {
	from, to string
	imported *config.Imported
}

func (i importedConfig) text(w io.Writer, s style) {
	if i.to != "" {
		fmt.Fprintf(w, "%s: %s from %s\n", i.to, s.good("written"), i.from)
	}
}

func (i importedConfig) document() map[string]any {
	return map[string]any{
		"file": i.to, "sources": i.imported.Paths,
		"warnings": config.Messages(i.imported.Warnings), "problems": config.Messages(i.imported.Problems),
	}
}
