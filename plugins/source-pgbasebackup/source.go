package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
)

// Source takes base backups through the replication protocol.
type Source struct {
	server sdk.Server
	config *Config
}

// Open makes the source; it does not touch the network.
func Open(_ context.Context, server sdk.Server, config *Config) (sdk.BackupSource, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	return &Source{server: server, config: config}, nil
}

func (s *Source) conninfo() sdk.Secret {
	if s.config.Conninfo != "" {
		return s.config.Conninfo
	}
	return s.server.StreamingConninfo
}

// Backup takes a base backup. See sdk.BackupSource.
//
// BeginTime and EndTime come from the server's clock, read once through
// Conninfo of the server; without that, from this machine's. Label stays empty
// when the server compresses: the archives are passed on unread.
func (s *Source) Backup(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	result, err := s.backup(ctx, request, emit)
	if err == nil {
		return result, nil
	}
	return sdk.BackupResult{}, sdk.Errorf(sdk.KindOf(err), "base backup of server %q: %w", s.server.Name, err)
}

func (s *Source) backup(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	if request.Layout != sdk.LayoutPlain && request.Layout != sdk.LayoutTar {
		return sdk.BackupResult{}, sdk.Errorf(sdk.Invalid, "unknown layout %q", request.Layout)
	}
	clock, err := s.clock(ctx)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	conn, err := replication.Connect(ctx, s.conninfo(), s.config.ApplicationName)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	defer conn.Close()
	cmd, err := newCommand(conn.Major(), s.config, request)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	system, err := conn.Identify(ctx)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	if err := checkWALLevel(ctx, conn); err != nil {
		return sdk.BackupResult{}, err
	}
	logger := hclog.FromContext(ctx)
	logger.Debug("begin a base backup", "server", s.server.Name, "command", cmd.text)
	trouble := &warnings{logger: logger}
	stream, err := conn.Stream(ctx, cmd.text, replication.StreamOptions{
		Doing: "base backup", Advise: trouble.advise, OnNotice: trouble.notice,
	})
	if err != nil {
		return sdk.BackupResult{}, err
	}
	defer stream.Close()
	t := transfer{stream: stream, command: cmd, request: request, emit: emit, clock: clock}
	result, err := t.run(ctx)
	result.SystemID = system.ID
	return result, err
}

func (s *Source) clock(ctx context.Context) (replication.Clock, error) {
	if s.server.Conninfo == "" {
		return replication.LocalClock(), nil
	}
	return replication.ServerClock(ctx, s.server.Conninfo, s.config.ApplicationName)
}

// checkWALLevel gives an early and clear answer: the server's own comes in the
// server's language and after the checkpoint.
func checkWALLevel(ctx context.Context, conn *replication.Conn) error {
	level, err := conn.Show(ctx, "wal_level")
	if err != nil {
		return err
	}
	if level == "minimal" {
		return sdk.Errorf(sdk.Invalid, "%s: wal_level is minimal, which allows no online backup: set wal_level = replica and restart the server", conn)
	}
	return nil
}

// transfer is one backup on its way.
type transfer struct {
	stream  *replication.Stream
	command command
	request sdk.BackupRequest
	emit    sdk.Emitter
	clock   replication.Clock
}

func (t *transfer) run(ctx context.Context) (sdk.BackupResult, error) {
	result := sdk.BackupResult{Codec: t.command.codec}
	rows, err := t.stream.Rows()
	if err != nil {
		return result, err
	}
	result.BeginTime = t.clock.Now()
	begin, err := parsePosition(rows)
	if err != nil {
		return result, err
	}
	result.BeginLSN, result.Timeline = begin.lsn, begin.timeline
	if rows, err = t.stream.Rows(); err != nil {
		return result, err
	}
	list, err := parseDirectories(rows)
	if err != nil {
		return result, err
	}
	result.Tablespaces = tablespacesOf(list)
	if t.command.codec == "" {
		t.emit.Expect(totalOf(list))
	}
	if result.Label, err = t.archives(ctx, list); err != nil {
		return result, err
	}
	if rows, err = t.stream.Rows(); err != nil {
		return result, err
	}
	result.EndTime = t.clock.Now()
	end, err := parsePosition(rows)
	if err != nil {
		return result, err
	}
	result.EndLSN = end.lsn
	return result, t.stream.Finish()
}

// archives emits everything that the server sends and returns the content of
// backup_label.
func (t *transfer) archives(ctx context.Context, list []directory) (label string, err error) {
	in := &archives{stream: t.stream, tagged: t.command.tagged, manifest: t.command.manifest, list: list}
	plain := &plainEmitter{emit: t.emit, jobs: t.request.Jobs, terminated: t.command.tagged}
	for {
		found, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		var scanned []byte
		switch {
		case found.manifest:
			// Beside tar files the manifest is for people and programs to read as it is.
			err = t.emit.Emit(ctx, sdk.Object{
				Name: t.request.Prefix + "data/backup_manifest", Mode: 0o600, Size: sdk.SizeUnknown, Verbatim: t.request.Layout != sdk.LayoutPlain,
			}, in)
		case t.request.Layout == sdk.LayoutPlain:
			err = plain.archive(ctx, t.plainPrefix(found), in)
			scanned = plain.label
		default:
			scanned, err = t.tar(ctx, found, in)
		}
		if err := t.cause(ctx, found, in, err); err != nil {
			return "", err
		}
		if found.oid == 0 && !found.manifest {
			label = string(scanned)
		}
	}
	if label == "" && t.command.codec == "" {
		return "", sdk.Errorf(sdk.Corrupt, "the server's archive of the data directory holds no %s", labelName)
	}
	return label, nil
}

// cause picks what is to blame when an archive was not emitted: the server,
// whose error the pipeline only handed back, or the pipeline. What was taken
// without being read is a failure too.
func (t *transfer) cause(ctx context.Context, found archive, in *archives, err error) error {
	switch {
	case in.err != nil:
		err = in.err
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && !in.ended:
		err = errors.New("the pipeline did not take all of it")
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", found, err)
}

func (t *transfer) plainPrefix(found archive) string {
	if found.oid == 0 {
		return t.request.Prefix + "data/"
	}
	return fmt.Sprintf("%s%d/", t.request.Prefix, found.oid)
}

func (t *transfer) tar(ctx context.Context, found archive, in *archives) (label []byte, err error) {
	stem := "base"
	if found.oid != 0 {
		stem = fmt.Sprint(found.oid)
	}
	compression, _ := codecOf(t.command.codec)
	object := sdk.Object{Name: t.request.Prefix + "data/" + stem + ".tar" + compression.suffix, Kind: sdk.KindTar, Mode: 0o600, Size: sdk.SizeUnknown}
	if t.command.codec != "" {
		return nil, t.emit.Emit(ctx, object, in)
	}
	whole := &wholeTar{r: in, terminated: t.command.tagged, scanner: tarScanner{limit: t.request.ArchiveSize}}
	for n := 1; ; n++ {
		if err := t.emit.Emit(ctx, object, whole); err != nil {
			return nil, err
		}
		if !whole.another() {
			return whole.scanner.label, nil
		}
		object.Name = fmt.Sprintf("%sdata/%s_%04d.tar", t.request.Prefix, stem, n)
	}
}

// warnings keeps what the server complained of, because its final error on
// damaged pages tells neither file nor block.
type warnings struct {
	logger hclog.Logger
	first  string
	more   int
}

func (w *warnings) notice(e *pgconn.PgError) {
	if e.SeverityUnlocalized != "WARNING" {
		w.logger.Debug(e.Message, "severity", e.Severity)
		return
	}
	w.logger.Warn(e.Message, "detail", e.Detail, "hint", e.Hint)
	if w.first == "" {
		w.first = e.Message
	} else {
		w.more++
	}
}

func (w *warnings) advise(e *pgconn.PgError) (sdk.ErrorKind, string, bool) {
	if e.Code != "XX001" && e.Code != "XX002" || w.first == "" {
		return 0, "", false
	}
	return sdk.Corrupt, fmt.Sprintf("%s (and %d more warnings in the log); look into it before anything else, and keep all existing backups",
		w.first, w.more), true
}
