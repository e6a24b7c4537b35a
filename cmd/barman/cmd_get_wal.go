package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// getWALOptions are the flags of get-wal.
type getWALOptions struct {
	directory      string
	partial        bool
	gzip, bzip2    bool
	keepCompressed bool
	peek           int
	tar            bool
	test           bool
}

func newGetWALCommand(a *app) *cobra.Command {
	var o getWALOptions
	var restoring *restoreCommand
	cmd := &cobra.Command{
		Use:   "get-wal SERVER WAL_NAME...",
		Short: "Write WAL files to standard output or into a directory",
		Long: `Write a WAL file of a server, decompressed, to standard output, or several
into a directory. It is looked for in the archive and where WAL waits to be
archived. It is what a restore_command on barman's own host runs:

  restore_command = 'barman get-wal --partial main %f > %p'

Exit codes: 0 done; 1 there is no such WAL file, for certain; 2 out of reach;
3 wrong usage or configuration, or an output directory that cannot be written;
4 any other error; 6 stored data is damaged. In the data directory of a
PostgreSQL that recovers from the archive and is no standby, every code but 0
and 1 is 200 higher, and is given only after trying again for --retry-timeout:
PostgreSQL takes a lower one for the end of the archive, and would end recovery.`,
		Example: `  barman get-wal main 000000010000000000000042 > 000000010000000000000042
  barman get-wal -o /tmp/wal main 000000010000000000000042 00000002.history
  barman get-wal --peek 10 main 000000010000000000000042`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError(cmd, "get-wal takes a server and the names of WAL files")
			}
			return o.check(a, len(args)-1)
		},
		ValidArgsFunction: a.completeServer,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.begin() },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runGetWAL(cmd.Context(), a, restoring, &o, args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.directory, "output-directory", "o", "", "write the files into this `DIRECTORY`, under their names")
	flags.BoolVarP(&o.partial, "partial", "P", false, "take the unfinished segment, filled up with zeros, if there is no finished one")
	flags.BoolVarP(&o.gzip, "gzip", "z", false, "compress the output with gzip")
	flags.BoolVarP(&o.gzip, "x", "x", false, "the same as --gzip")
	if err := flags.MarkHidden("x"); err != nil {
		panic(err) // it was added in the line before
	}
	flags.BoolVarP(&o.bzip2, "bzip2", "j", false, "compress the output with bzip2")
	flags.BoolVar(&o.keepCompressed, "keep-compression", false, "leave the bytes compressed as they are stored")
	flags.IntVarP(&o.peek, "peek", "p", 0, "print up to `N` names of WAL files that are there, from WAL_NAME on without a gap")
	flags.BoolVar(&o.tar, "tar", false, "write the files as a tar archive to standard output; with --peek N, up to N from each WAL_NAME on")
	flags.BoolVarP(&o.test, "test", "t", false, "only tell whether WAL of the server can be had")
	restoring = restores(cmd, &o.partial, codeOfGetWAL)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err.Error()) })
	restoring.settle(cmd)
	return cmd
}

// check refuses options that contradict each other.
func (o *getWALOptions) check(a *app, names int) error {
	bytes := o.directory == "" && o.peek == 0 && !o.test || o.tar
	switch {
	case o.gzip && o.bzip2, o.keepCompressed && (o.gzip || o.bzip2):
		return sdk.Errorf(sdk.Invalid, "--gzip, --bzip2 and --keep-compression exclude each other")
	case o.peek < 0:
		return sdk.Errorf(sdk.Invalid, "--peek %d: it is a number from 1 on", o.peek)
	case o.tar && o.directory != "":
		return sdk.Errorf(sdk.Invalid, "--tar writes to standard output, not into a directory")
	case bytes && a.options.format == formatJSON:
		return sdk.Errorf(sdk.Invalid, "standard output is for the bytes of the WAL file: with -f json, give -o, --peek or --test")
	case names > 1 && o.directory == "" && !o.tar && !o.test:
		return sdk.Errorf(sdk.Invalid, "several WAL files need --output-directory or --tar")
	}
	return nil
}

// request is what is wanted of a file.
func (o *getWALOptions) request(name string) (fetch.Request, error) {
	parsed, err := wal.ParseName(name)
	if err != nil {
		return fetch.Request{}, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	r := fetch.Request{Name: parsed, Partial: o.partial, Stored: o.keepCompressed}
	switch {
	case o.gzip:
		r.Codec = codec.Gzip
	case o.bzip2:
		r.Codec = codec.Bzip2
	}
	return r, nil
}

func runGetWAL(ctx context.Context, a *app, restoring *restoreCommand, o *getWALOptions, name string, names []string) error {
	s, err := a.server(name, a.open)
	if err != nil {
		return err
	}
	if o.test {
		a.print().info("Ready to retrieve WAL files from the server " + s.Name() + sshHost())
		return nil
	}
	var requests []fetch.Request
	for _, name := range names {
		r, err := o.request(name)
		if err != nil {
			return err
		}
		requests = append(requests, r)
	}
	if o.directory != "" && o.peek == 0 {
		return writeWALFiles(ctx, a, restoring, s, o.directory, requests)
	}
	out := &counted{w: a.stdout}
	nothingOut := func() bool { return out.written == 0 }
	return restoring.persist(ctx, a, nothingOut, func() error {
		switch {
		case o.tar:
			return writeWALTar(ctx, a, s, max(o.peek, 1), requests, out)
		case o.peek > 0:
			found, err := fetch.Names(ctx, s, requests[0], o.peek)
			a.print().answer(walNames(found))
			return err
		}
		result, err := fetch.Write(ctx, s, requests[0], out)
		a.sent(s, "standard output", result, err)
		return err
	})
}

// writeWALFiles writes files into a directory.
func writeWALFiles(ctx context.Context, a *app, restoring *restoreCommand, s *server.Server, directory string, requests []fetch.Request) error {
	failed := &failures{of: len(requests)}
	done := writtenWAL{server: s.Name()}
	for _, request := range requests {
		path := filepath.Join(directory, request.Name.String())
		err := restoring.persist(ctx, a, func() bool { return true }, func() error {
			result, err := fetch.WriteFile(ctx, s, request, path)
			a.sent(s, path, result, err)
			if err == nil {
				done.files = append(done.files, writtenFile{Result: result, Path: path})
			}
			return err
		})
		if err != nil && len(requests) == 1 {
			return err
		}
		if err != nil {
			a.report(err)
			failed.errs = append(failed.errs, err)
		}
	}
	a.print().answer(done)
	return failed.result()
}

// writeWALTar writes files as a tar archive, whose end only a complete one has.
func writeWALTar(ctx context.Context, a *app, s *server.Server, each int, requests []fetch.Request, w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, request := range requests {
		results, err := fetch.WriteTar(ctx, s, request, each, archive)
		for _, result := range results {
			a.sent(s, "standard output", result, nil)
		}
		if err != nil {
			return err
		}
	}
	return archive.Close()
}

// sent notes in the log file what was given away; standard output and standard
// error are PostgreSQL's.
func (a *app) sent(s *server.Server, to string, result fetch.Result, err error) {
	if err != nil || a.config.Global.LogFile == "" {
		return
	}
	if a.logger(); a.logFile != nil {
		a.logFile.Named(s.Name()).Info("WAL file sent", "file", result.Name, "from", string(result.Place), "to", to+sshHost())
	}
}

// sshHost tells which host asks, if one does through ssh.
func sshHost() string {
	from, _, _ := strings.Cut(os.Getenv("SSH_CONNECTION"), " ")
	if from == "" {
		return ""
	}
	return " (SSH host: " + from + ")"
}

// counted knows whether anything was written.
type counted struct {
	w       io.Writer
	written int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.written += int64(n)
	if err != nil {
		return n, fmt.Errorf("standard output: %w", errors.Unwrap(err))
	}
	return n, nil
}

// walNames are names, a line each.
type walNames []string

func (n walNames) text(w io.Writer, _ style) {
	for _, name := range n {
		fmt.Fprintln(w, name)
	}
}

func (n walNames) document() map[string]any {
	if n == nil {
		n = walNames{}
	}
	return map[string]any{"_INFO": []string(n)}
}

// writtenWAL are files that were written into a directory.
type writtenWAL struct {
	server string
	files  []writtenFile
}

type writtenFile struct {
	fetch.Result
	Path string `json:"path"`
}

func (d writtenWAL) text(w io.Writer, _ style) {
	for _, f := range d.files {
		fmt.Fprintf(w, "Sending WAL '%s' for server '%s' into '%s' file%s\n", f.Name, d.server, f.Path, sshHost())
	}
}

func (d writtenWAL) document() map[string]any {
	files := d.files
	if files == nil {
		files = []writtenFile{}
	}
	return map[string]any{d.server: map[string]any{"files": files}}
}
