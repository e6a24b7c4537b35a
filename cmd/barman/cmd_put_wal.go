package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/wal"
)

func newPutWALCommand(a *app) *cobra.Command {
	var test bool
	cmd := &cobra.Command{
		Use:   "put-wal SERVER",
		Short: "Take in WAL files that are sent over standard input",
		Long: `Read WAL files from standard input, a tar stream that also holds their
checksums as a member SHA256SUMS or MD5SUMS, and put them into the incoming
directory of a server. When it ends with 0 they are durable there, and
'barman archive-wal' archives them. barman-wal-archive on the PostgreSQL host
runs this over ssh.

A file that is there already is accepted again; one whose name is taken by
another is kept in the errors directory. When anything is wrong with the stream,
such as a checksum, no file of it is taken in.

` + archiveCommandCodesHelp,
		Example: `  ssh barman@backup barman put-wal main --test
  tar -c --format=pax 000000010000000000000001 SHA256SUMS | barman put-wal main`,
		Args:              exactly(1, "a server"),
		ValidArgsFunction: a.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
			return forArchiveCommand(cmd.Context(), runPutWAL(cmd.Context(), a, args[0], test))
		},
	}
	cmd.Flags().BoolVarP(&test, "test", "t", false, "only tell whether the server accepts WAL files")
	return cmd
}

func runPutWAL(ctx context.Context, a *app, name string, test bool) error {
	s, err := a.server(name, a.enabled)
	if err != nil {
		return err
	}
	if test {
		if err := wal.CheckDelivery(s); err != nil {
			return err
		}
		a.print().info("Ready to accept WAL files for the server " + name)
		return nil
	}
	files, err := wal.Deliver(ctx, s, untilInterrupted(ctx, os.Stdin))
	a.print().answer(putWAL{name, files})
	return err
}

// untilInterrupted reads something that may keep a reader waiting, but not when
// ctx has ended.
func untilInterrupted(ctx context.Context, in io.Reader) io.Reader {
	const piece = 256 << 10
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.CopyBuffer(w, in, make([]byte, piece))
		w.CloseWithError(err)
	}()
	return r
}

// putWAL is what became of the files.
type putWAL struct {
	server string
	files  []wal.File
}

// text says nothing when all went as it should: the sender is PostgreSQL, which
// would log it.
func (p putWAL) text(w io.Writer, _ style) {
	for _, f := range p.files {
		if f.Outcome == wal.SetAside {
			fmt.Fprintf(w, "%s of server %s was kept as %s: %s\n", f.Name, p.server, f.Path, f.Reason)
		}
	}
}

func (p putWAL) document() map[string]any {
	files := p.files
	if files == nil {
		files = []wal.File{}
	}
	return map[string]any{p.server: map[string]any{"files": files}}
}
