// Package server puts together what a use case needs of one PostgreSQL server:
// its configuration, its catalogue, its pipelines and its connections.
package server

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/schema"
)

// Compressor is the name of the transform that compresses, which WAL that is
// compressed already does without.
const Compressor = "compress"

// Server is a configured PostgreSQL server, ready for use.
type Server struct {
	// Config is its block of the configuration, with the defaults.
	Config *config.Server
	// Catalogue is where its backups and WAL are known.
	Catalogue *catalogue.Server
	// Engine runs its pipelines.
	Engine *pipeline.Engine
	// Logger is the log of what is done for it.
	Logger hclog.Logger

	loaded *config.Config
}

// Open prepares a server; it touches no file and starts nothing.
func Open(loaded *config.Config, s *config.Server, engine *pipeline.Engine, logger hclog.Logger) (*Server, error) {
	opened := &Server{Config: s, Engine: engine, Logger: logger.Named(s.Name), loaded: loaded}
	c, err := catalogue.Open(catalogue.Layout{
		Name: s.Name, BackupDirectory: s.Directories.Backup, BasebackupsDirectory: s.Directories.Basebackups,
		WALsDirectory: s.Directories.WALs, XlogDBDirectory: s.Directories.XlogDB, IncomingDirectory: s.Directories.IncomingWALs, StreamingDirectory: s.Directories.StreamingWALs,
		ErrorsDirectory: s.Directories.Errors, LockDirectory: loaded.Global.LockDirectory, CustomMagic: customMagic(s.WAL.Transforms),
		WALElsewhere: len(s.WAL.Sinks) > 0 && opened.WALStoredElsewhere(),
	})
	if err != nil {
		return nil, err
	}
	opened.Catalogue = c
	return opened, nil
}

// WALReadable tells whether what the WAL pipeline stores can be read without it:
// nothing transforms it, or only what makes the formats of package codec.
func (s *Server) WALReadable() bool {
	return !slices.ContainsFunc(s.Config.WAL.Transforms, func(block config.Stage) bool {
		return block.Name != Compressor || block.Has("decompression_filter")
	})
}

// customMagic is how WAL begins that the transform "compress" gave to a command
// of the user's. A value that is none is for the plugin to refuse.
func customMagic(transforms []config.Stage) []byte {
	for _, block := range transforms {
		if block.Name != Compressor {
			continue
		}
		if magic, err := codec.ParseMagic(block.Text("magic")); err == nil {
			return magic
		}
	}
	return nil
}

// Name is the server's name.
func (s *Server) Name() string { return s.Config.Name }

// ConfigurationPath is the first file that the configuration was read from.
func (s *Server) ConfigurationPath() string {
	if len(s.loaded.Paths) == 0 {
		return ""
	}
	return s.loaded.Paths[0]
}

// Connect opens a management connection. The PostgreSQL of a passive server is
// left alone: to connect to it is an error of kind Invalid.
func (s *Server) Connect(ctx context.Context) (*postgres.Conn, error) {
	if err := s.NotPassive(); err != nil {
		return nil, err
	}
	return postgres.Connect(ctx, s.Config.Conninfo.Reveal(), "barman")
}

// ConnectWAL opens a management connection to the host that WAL is received
// from, which knows its slots and receivers. See SeparateWALHost.
func (s *Server) ConnectWAL(ctx context.Context) (*postgres.Conn, error) {
	if err := s.NotPassive(); err != nil {
		return nil, err
	}
	return postgres.Connect(ctx, s.Config.WALConninfo.Reveal(), "barman")
}

// NotPassive is an error of kind Invalid for a server that is copied from another
// Barman.
func (s *Server) NotPassive() error {
	if !s.Config.Passive() {
		return nil
	}
	return sdk.Errorf(sdk.Invalid, "server %s is passive: it is copied from the Barman to which primary_ssh_command leads, and that one works with its PostgreSQL", s.Name())
}

// SeparateWALHost tells whether ConnectWAL leads elsewhere than Connect, as far
// as the connection strings tell.
func (s *Server) SeparateWALHost() bool { return s.Config.WALConninfo != s.Config.Conninfo }

// ForStages is what the stages are told of the server.
func (s *Server) ForStages() sdk.Server {
	d := s.Config.Directories
	elsewhere := map[string]string{}
	for name, path := range map[string]string{catalogue.BackupsFolder: d.Basebackups, catalogue.WALFolder: d.WALs} {
		if filepath.Clean(path) != filepath.Join(d.Backup, name) {
			elsewhere[name] = path
		}
	}
	return sdk.Server{
		Name: s.Name(), Directory: d.Backup, Elsewhere: elsewhere,
		Conninfo: s.Config.Conninfo, StreamingConninfo: s.Config.StreamingConninfo,
	}
}

// ForWALSource is what the WAL source is told of the server: the connections of
// the host that WAL is received from.
func (s *Server) ForWALSource() sdk.Server {
	told := s.ForStages()
	told.Conninfo, told.StreamingConninfo = s.Config.WALConninfo, s.Config.WALStreamingConninfo
	return told
}

// BackupLine is the pipeline of base backups.
func (s *Server) BackupLine() pipeline.Line {
	return pipeline.Line{
		Server: s.ForStages(), Source: s.Stage(s.Config.Backup.Source), Transforms: s.stages(s.Config.Backup.Transforms),
		Sinks: stagesOf(s.BackupSinks()), Lanes: s.Config.Backup.Jobs,
	}
}

// WALLine is the pipeline of WAL files, without a source: the core feeds it.
func (s *Server) WALLine() pipeline.Line {
	return pipeline.Line{
		Server: s.ForStages(), Transforms: s.stages(s.Config.WAL.Transforms), Sinks: stagesOf(s.WALSinks()), Lanes: 1,
	}
}

// Stage makes a stage of a pipeline from its block.
func (s *Server) Stage(block config.Stage) pipeline.Stage {
	return pipeline.Stage{
		Kind: block.Kind, Name: block.Name, Settings: settings{block: block, loaded: s.loaded},
		Optional: block.Kind == "sink" && !block.Required,
	}
}

func (s *Server) stages(blocks []config.Stage) []pipeline.Stage {
	var stages []pipeline.Stage
	for _, block := range blocks {
		stages = append(stages, s.Stage(block))
	}
	return stages
}

// settings are those of a block of the configuration.
type settings struct {
	block  config.Stage
	loaded *config.Config
}

// Decode holds the block against the plugin's schema.
func (s settings) Decode(described schema.Schema) ([]byte, error) {
	values, diags := s.block.Decode(described)
	return values, config.Check(diags, s.loaded.Files())
}

// Diagnose says where in the configuration the plugin's objections belong.
func (s settings) Diagnose(found schema.Diagnostics) error {
	return config.Check(s.block.Diagnose(found), s.loaded.Files())
}
