// Package serve turns an implementation of one of package sdk's interfaces
// into a plugin process. A plugin's main function is one call:
//
//	func main() {
//		serve.Transform(sdk.Info{Name: "rot13", Doc: "Rotates letters."}, open)
//	}
//
// where open makes the stage from its decoded settings. Inside open and all
// methods of a stage, hclog.FromContext(ctx) is the logger; what it logs
// appears in the core's log under the stage's name. Standard output belongs to
// the protocol and must not be written to.
package serve

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/schema"
)

// BackupSource serves a source of base backups until the core lets go of it.
func BackupSource[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.BackupSource, error)) {
	run(info, "source", &proto.Capabilities{Backup: true}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{backup: s}, err
	})
}

// LandingSource serves a source of base backups that fills a landing directory
// where it gets one, until the core lets go of it.
func LandingSource[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.BackupSource, error)) {
	run(info, "source", &proto.Capabilities{Backup: true, Landing: true}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{backup: s}, err
	})
}

// WALSource serves a source of WAL until the core lets go of it.
func WALSource[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.WALSource, error)) {
	run(info, "source", &proto.Capabilities{ReceiveWal: true}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{wal: s}, err
	})
}

// Transform serves a transform until the core lets go of it.
func Transform[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.Transform, error)) {
	run(info, "transform", &proto.Capabilities{}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		t, err := open(ctx, server, config)
		return role{transform: t}, err
	})
}

// Sink serves a sink until the core lets go of it.
func Sink[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.Sink, error)) {
	run(info, "sink", &proto.Capabilities{}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{sink: s}, err
	})
}

// LandingSink serves a sink that grants landing directories until the core lets
// go of it.
func LandingSink[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.LandingSink, error)) {
	run(info, "sink", &proto.Capabilities{Landing: true}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{sink: s, landing: s}, err
	})
}

// Bucket serves a sink whose store is a bucket until the core lets go of it. To
// such a sink backups go as archives, because a bucket is slow with many small
// objects.
func Bucket[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.Sink, error)) {
	run(info, "sink", &proto.Capabilities{Bucket: true}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		s, err := open(ctx, server, config)
		return role{sink: s}, err
	})
}

// Hook serves a hook until the core lets go of it.
func Hook[C any](info sdk.Info, open func(ctx context.Context, server sdk.Server, config *C) (sdk.Hook, error)) {
	run(info, "hook", &proto.Capabilities{}, func(ctx context.Context, server sdk.Server, config *C) (role, error) {
		h, err := open(ctx, server, config)
		return role{hook: h}, err
	})
}

// role is what a plugin plays: exactly one of these is set, but for landing.
type role struct {
	backup    sdk.BackupSource
	wal       sdk.WALSource
	transform sdk.Transform
	sink      sdk.Sink
	landing   sdk.LandingSink // the sink too, if it is one
	hook      sdk.Hook
}

func run[C any](info sdk.Info, kind string, capabilities *proto.Capabilities, open func(context.Context, sdk.Server, *C) (role, error)) {
	if os.Getenv(wire.Handshake.MagicCookieKey) == "" {
		fmt.Fprintf(os.Stderr, "%s: %s\nThis is the %s %q, a plugin of barman: barman starts it when a %s block of the configuration names it.\n"+
			"Put it into a plugin directory as barman-plugin-%s-%s; \"barman plugin list\" shows what is found.\n",
			info.Name, info.Doc, kind, info.Name, kind, kind, info.Name)
		os.Exit(1)
	}
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true, Level: hclog.Trace})
	config := new(C)
	described, err := schema.Of(config)
	if err != nil {
		logger.Error("the plugin's settings have no schema", "error", err)
		os.Exit(1)
	}
	capabilities.Ring = true
	server := &stage{
		info: info, kind: kind, capabilities: capabilities, schema: described, logger: logger,
		configure: func(ctx context.Context, settings []byte, server sdk.Server) (role, schema.Diagnostics, error) {
			return configure(ctx, settings, server, open)
		},
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         plugin.PluginSet{wire.PluginName: wire.Protocol{Stage: server}},
		Logger:          hclog.NewNullLogger(),
		GRPCServer:      func(options []grpc.ServerOption) *grpc.Server { return grpc.NewServer(options...) },
	})
}

func configure[C any](ctx context.Context, settings []byte, server sdk.Server, open func(context.Context, sdk.Server, *C) (role, error)) (role, schema.Diagnostics, error) {
	config := new(C)
	if err := schema.Decode(settings, config); err != nil {
		var diagnostics schema.Diagnostics
		if asDiagnostics(err, &diagnostics) {
			return role{}, diagnostics, nil
		}
		return role{}, nil, sdk.Errorf(sdk.Invalid, "settings: %w", err)
	}
	if v, ok := any(config).(schema.Validator); ok {
		if diagnostics := v.Validate(); len(diagnostics) > 0 {
			return role{}, diagnostics, nil
		}
	}
	opened, err := open(ctx, server, config)
	return opened, nil, err
}
