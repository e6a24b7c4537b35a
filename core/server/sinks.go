package server

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
)

// localSink is the sink that stores in a directory of this machine: that of the
// server, unless it has a path.
const localSink = "posix"

// Sink is one of the sinks of a pipeline.
type Sink struct {
	pipeline.Stage
	// Label tells it from the pipeline's other sinks: its plugin's name, for the
	// second sink of a plugin with a number, as in "posix.2".
	Label string
	// Home tells that it stores in the server's directory, where the catalogue is.
	Home bool

	block config.Stage
}

// BackupSinks are the sinks of base backups, in the order in which BackupLine has
// them: one in the server's directory comes first if it is required, the others
// as they are configured. The first is the one that is read from first.
func (s *Server) BackupSinks() []Sink { return s.sinks(s.Config.Backup.Sinks) }

// WALSinks is BackupSinks for WAL, as WALLine has them.
func (s *Server) WALSinks() []Sink { return s.sinks(s.Config.WAL.Sinks) }

func (s *Server) sinks(blocks []config.Stage) []Sink {
	var sinks []Sink
	times := map[string]int{}
	for _, block := range blocks {
		sink := Sink{Stage: s.Stage(block), Label: block.Name, Home: s.isHome(block), block: block}
		if times[block.Name]++; times[block.Name] > 1 {
			sink.Label = fmt.Sprintf("%s.%d", block.Name, times[block.Name])
		}
		sinks = append(sinks, sink)
	}
	slices.SortStableFunc(sinks, func(a, b Sink) int {
		return rank(a) - rank(b)
	})
	return sinks
}

func rank(s Sink) int {
	if s.Home && !s.Optional {
		return 0
	}
	return 1
}

func (s *Server) isHome(block config.Stage) bool {
	if block.Name != localSink {
		return false
	}
	return !block.Has("path") || filepath.Clean(block.Text("path")) == s.Config.Directories.Backup
}

// Path is where an object is that the sink stores in a directory of this machine
// other than the server's; elsewhere it is the object's name.
func (s Sink) Path(object string) string {
	if path := s.block.Text("path"); s.block.Name == localSink && path != "" {
		return filepath.Join(path, object)
	}
	return object
}

// Only is the line with one of its sinks, without which it does not go on, and
// without transforms: for what is moved as it is stored.
func (s *Server) Only(sink Sink) pipeline.Line {
	only := sink.Stage
	only.Optional = false
	return pipeline.Line{Server: s.ForStages(), Sinks: []pipeline.Stage{only}, Lanes: 1}
}

// WALStoredElsewhere tells whether the sink that WAL is read from, the first,
// stores elsewhere than where the catalogue looks for the archive. Then only
// xlog.db tells what is archived.
func (s *Server) WALStoredElsewhere() bool { return !s.WALSinks()[0].Home }

// BackupsStoredElsewhere is WALStoredElsewhere for the data of base backups.
func (s *Server) BackupsStoredElsewhere() bool { return !s.BackupSinks()[0].Home }

func stagesOf(sinks []Sink) []pipeline.Stage {
	stages := make([]pipeline.Stage, len(sinks))
	for i, sink := range sinks {
		stages[i] = sink.Stage
	}
	return stages
}
