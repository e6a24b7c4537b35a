package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/schema"
)

const (
	// startTimeout is how long a plugin may take to its first word.
	startTimeout = 10 * time.Second
	// stopTime is how long a plugin may take to end once it is asked to.
	stopTime = 2 * time.Second
)

// Binary is a plugin to start.
type Binary struct {
	// Path is the absolute path of the file.
	Path string
	// SHA256 is the checksum that the file must have; empty for any.
	SHA256 string
	// Environment is all that the plugin sees of the environment.
	Environment []string
	// Directory is a private directory for the control connection's socket.
	Directory string
	// Logger receives the plugin's log; nil for nobody.
	Logger hclog.Logger
	// HungAfter is how long a plugin that was asked for something may give no
	// sign of life before it is given up; 0 for 30 seconds. It is logged as
	// silent after one second.
	HungAfter time.Duration
	// StartTimeout is how long it may take to its first word; 0 for 10 seconds.
	StartTimeout time.Duration
}

// Stage is a running plugin.
type Stage struct {
	client    *plugin.Client
	process   *process
	log       *logRelay
	control   wire.Connection
	path      string
	hungAfter time.Duration
	startTime time.Duration
}

// Description is what a plugin says of itself.
type Description struct {
	Kind, Name, Version, Doc string
	Schema                   schema.Schema
	// Backup and ReceiveWAL tell what a source can do.
	Backup, ReceiveWAL bool
	// Bucket tells that a sink's store is a bucket, to which backups go as archives.
	Bucket bool
	// Landing tells that a sink grants landing directories, or that a source fills
	// one.
	Landing bool
	// Protocol is the version of the control protocol.
	Protocol int
}

// Launch starts a plugin and waits until it answers. The caller must Stop it.
func Launch(b Binary) (*Stage, error) {
	file, err := openBinary(b.Path, b.SHA256)
	if err != nil {
		return nil, err
	}
	if b.Logger == nil {
		b.Logger = hclog.NewNullLogger()
	}
	relay := &logRelay{logger: b.Logger}
	s := &Stage{log: relay, path: b.Path, hungAfter: cmp.Or(b.HungAfter, hungAfter), startTime: cmp.Or(b.StartTimeout, startTimeout)}
	sockets := ""
	s.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		Plugins:          plugin.PluginSet{wire.PluginName: wire.Protocol{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Stderr:           &lineWriter{line: relay.line},
		SyncStdout:       io.Discard,
		SyncStderr:       &lineWriter{line: relay.line},
		StartTimeout:     s.startTime,
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: b.Directory},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, directory string) (runner.Runner, error) {
			sockets = directory
			p, err := newProcess(file, b.Path, append(slices.Clone(b.Environment), cmd.Env...))
			if err != nil {
				return nil, err
			}
			s.process = p
			return p, nil
		},
	})
	if err := s.connect(); err != nil {
		s.Stop()
		err = errors.Join(s.startError(err), ignoreClosed(file.Close()))
		// go-plugin leaves the directory behind when nothing was started.
		if sockets != "" {
			err = errors.Join(err, os.RemoveAll(sockets))
		}
		return nil, err
	}
	return s, nil
}

func (s *Stage) connect() error {
	protocol, err := s.client.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(wire.PluginName)
	if err != nil {
		return err
	}
	s.control = raw.(wire.Connection)
	return nil
}

// startError makes go-plugin's error one for people.
func (s *Stage) startError(err error) error {
	text := err.Error()
	said := ""
	if last := s.log.lastLines(); last != "" {
		said = "; it said: " + last
	}
	switch {
	case strings.Contains(text, "incompatible API version"), strings.Contains(text, "incompatible core API version"):
		return sdk.Errorf(sdk.Invalid, "plugin %s speaks another version of the plugin protocol than this barman (%d); update whichever is older%s", s.path, wire.ProtocolVersion, said)
	case strings.Contains(text, "Unrecognized remote plugin message"), strings.Contains(text, "exited before we could connect"),
		strings.Contains(text, "parsing core protocol version"), strings.Contains(text, "unsupported plugin protocol"):
		return sdk.Errorf(sdk.Invalid, "plugin %s does not behave like a plugin of barman: it ended or wrote something else before the handshake%s", s.path, said)
	case strings.Contains(text, "timeout while waiting"):
		return sdk.Errorf(sdk.Unavailable, "plugin %s did not answer within %s of its start%s", s.path, s.startTime, said)
	}
	return &sdk.Error{Kind: sdk.KindOf(err), Err: fmt.Errorf("plugin %s does not start: %w%s", s.path, err, said)}
}

// PID is the plugin's process ID.
func (s *Stage) PID() int { return s.process.cmd.Process.Pid }

// Describe asks the plugin who it is.
func (s *Stage) Describe(ctx context.Context) (Description, error) {
	ctx, done := s.watched(ctx)
	defer done(nil)
	reply, err := s.control.Describe(ctx, &proto.DescribeRequest{})
	if err != nil {
		return Description{}, s.explain(ctx, err)
	}
	d := Description{
		Kind: reply.Kind, Name: reply.Name, Version: reply.Version, Doc: reply.Doc, Protocol: wire.ProtocolVersion,
		Backup: reply.Capabilities.GetBackup(), ReceiveWAL: reply.Capabilities.GetReceiveWal(),
		Bucket: reply.Capabilities.GetBucket(), Landing: reply.Capabilities.GetLanding(),
	}
	if err := json.Unmarshal(reply.Schema, &d.Schema); err != nil {
		return d, sdk.Errorf(sdk.Invalid, "plugin %s: the schema of its settings: %w", s.path, err)
	}
	if err := d.Schema.Check(); err != nil {
		return d, sdk.Errorf(sdk.Invalid, "plugin %s: the schema of its settings: %w", s.path, err)
	}
	return d, nil
}

// Configure hands the settings over, a JSON object that fits the plugin's
// schema. What the plugin has against them comes back as diagnostics. suffix is
// what a transform appends to names.
func (s *Stage) Configure(ctx context.Context, settings []byte, server sdk.Server) (suffix string, diagnostics schema.Diagnostics, err error) {
	ctx, done := s.watched(ctx)
	defer done(nil)
	reply, err := s.control.Configure(ctx, &proto.ConfigureRequest{
		Settings: settings,
		Server: &proto.Server{
			Name: server.Name, Directory: server.Directory, Elsewhere: server.Elsewhere,
			Conninfo: server.Conninfo.Reveal(), StreamingConninfo: server.StreamingConninfo.Reveal(),
		},
	})
	if err != nil {
		return "", nil, s.explain(ctx, err)
	}
	for _, d := range reply.Diagnostics {
		diagnostics = append(diagnostics, schema.Diagnostic{Path: d.Path, Summary: d.Summary, Detail: d.Detail})
	}
	return reply.Suffix, diagnostics, nil
}

// List lists a sink's objects.
func (s *Stage) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		ctx, done := s.watched(ctx)
		defer done(nil)
		stream, err := s.control.List(ctx, &proto.ListRequest{Prefix: prefix})
		for err == nil {
			var reply *proto.ListReply
			if reply, err = stream.Recv(); err != nil {
				break
			}
			for _, p := range reply.Objects {
				object, bad := wire.ObjectFromProto(p)
				if bad != nil {
					yield(sdk.Object{}, bad)
					return
				}
				if !yield(object, nil) {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(sdk.Object{}, s.explain(ctx, err))
		}
	}
}

// Delete removes some of a sink's objects. After an error any of them may be
// gone.
func (s *Stage) Delete(ctx context.Context, names []string) error {
	ctx, done := s.watched(ctx)
	defer done(nil)
	for part := range slices.Chunk(names, deletedAtOnce) {
		if _, err := s.control.Delete(ctx, &proto.DeleteRequest{Names: part}); err != nil {
			return s.explain(ctx, err)
		}
	}
	return nil
}

// deletedAtOnce is how many names one request has: what object stores take at
// once.
const deletedAtOnce = 1000

// Notify tells a hook of an event.
func (s *Stage) Notify(ctx context.Context, e sdk.Event) error {
	ctx, done := s.watched(ctx)
	defer done(nil)
	_, err := s.control.Notify(ctx, &proto.NotifyRequest{
		Operation: e.Operation, Phase: string(e.Phase), Server: e.Server, Error: e.Error, Values: e.Values,
	})
	return s.explain(ctx, err)
}

// Stop ends the plugin: it is asked first, and killed when it does not end.
// Every Run must have returned.
func (s *Stage) Stop() {
	// One that hangs does not even take the request to end.
	timer := time.AfterFunc(stopTime, func() {
		if s.process != nil {
			_ = s.process.Kill(context.Background())
		}
	})
	defer timer.Stop()
	s.client.Kill()
}
