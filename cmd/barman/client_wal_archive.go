package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/delivery"
	"github.com/barman-go/barman/core/remote"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// archiveUnreachable is the exit code when ssh does not get to BARMAN_HOST.
const archiveUnreachable = 3

// remoteArchive are the options of barman-wal-archive.
type remoteArchive struct {
	to    remoteFlags
	test  bool
	md5   bool
	codec map[string]*bool
	level string
}

func newRemoteWALArchiveCommand(a *app) *cobra.Command {
	o := remoteArchive{codec: map[string]*bool{}}
	cmd := newClient(a, &cobra.Command{
		Use:   "barman-wal-archive [OPTIONS] BARMAN_HOST SERVER WAL_PATH",
		Short: "Send a WAL file to barman on another host",
		Long: `Send a WAL file over ssh to 'barman put-wal' on BARMAN_HOST. It is meant for
archive_command: it ends with 0 only when the file is durable there.

Exit codes: 0 done; 2 it failed here, or a signal came; 3 BARMAN_HOST was not
reached; any other is that of 'barman put-wal'. None is above 125.`,
		Example: `  archive_command = 'barman-wal-archive backup main %p'
  barman-wal-archive --test backup main DUMMY`,
	}, func(ctx context.Context, args []string) error { return o.run(ctx, a, args[0], args[1], args[2]) },
		3, "BARMAN_HOST, SERVER and WAL_PATH")
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *remoteArchive) addFlags(flags *pflag.FlagSet) {
	o.to.addFlags(flags)
	flags.BoolVarP(&o.test, "test", "t", false, "only test the connection and that SERVER accepts WAL files; WAL_PATH is not used")
	flags.BoolVar(&o.md5, "md5", false, "send an MD5 checksum, for Barman before 3.12 on BARMAN_HOST")
	for _, c := range []struct{ name, short string }{
		{codec.Gzip, "z"}, {codec.Bzip2, "j"}, {codec.XZ, ""}, {codec.Snappy, ""}, {codec.Zstd, ""}, {codec.LZ4, ""},
	} {
		o.codec[c.name] = flags.BoolP(c.name, c.short, false, "compress the file with "+c.name)
	}
	flags.StringVar(&o.level, "compression-level", "", "`LEVEL` of compression: a number on the codec's scale, low, medium or high")
}

func (o *remoteArchive) run(ctx context.Context, a *app, host, server, path string) error {
	there, err := o.to.barman(host)
	if err != nil {
		return err
	}
	options, err := o.delivery()
	if err != nil {
		return err
	}
	streams := remote.Streams{Out: os.Stdout, Err: a.stderr}
	if o.test {
		return settleRemote(there.Run(ctx, streams, "put-wal", server, "--test"), archiveUnreachable)
	}
	parcel, err := delivery.Open(path, options)
	if err != nil {
		return err
	}
	return errors.Join(sendTo(ctx, there, server, parcel, streams), parcel.Close())
}

// sendTo sends a parcel. What goes wrong here is the cause of what the other end
// says then.
func sendTo(ctx context.Context, there remote.Barman, server string, parcel *delivery.Parcel, streams remote.Streams) error {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := parcel.Send(w)
		w.CloseWithError(err) // never the end of the stream if something went wrong
		sent <- err
	}()
	streams.In = r
	ran := there.Run(ctx, streams, "put-wal", server)
	r.CloseWithError(errGone)
	if err := <-sent; err != nil && !errors.Is(err, errGone) {
		return err
	}
	return settleRemote(ran, archiveUnreachable)
}

// errGone is why sending ends when nobody reads any more.
var errGone = errors.New("barman on the other host has ended")

func (o *remoteArchive) delivery() (delivery.Options, error) {
	options := delivery.Options{Algorithm: delivery.SHA256}
	if o.md5 {
		options.Algorithm = delivery.MD5
	}
	for name, chosen := range o.codec {
		switch {
		case *chosen && options.Codec != "":
			return options, sdk.Errorf(sdk.Invalid, "--%s and --%s: choose one compression", min(name, options.Codec), max(name, options.Codec))
		case *chosen:
			options.Codec = name
		}
	}
	var err error
	options.Level, err = codec.ParseLevel(o.level)
	return options, err
}
