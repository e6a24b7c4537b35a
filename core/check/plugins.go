package check

import (
	"context"
	"strings"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
)

// Pipelines returns the stages of a server by the names of the checks that
// start them.
func Pipelines(s *server.Server) []Pipeline {
	backup := []config.Stage{s.Config.Backup.Source}
	backup = append(append(backup, s.Config.Backup.Transforms...), s.Config.Backup.Sinks...)
	var wal, hooks []config.Stage
	if s.Config.WAL.Source != nil {
		wal = append(wal, *s.Config.WAL.Source)
	}
	wal = append(append(wal, s.Config.WAL.Transforms...), s.Config.WAL.Sinks...)
	for _, hook := range s.Config.Hooks {
		hooks = append(hooks, hook.Stage)
	}
	pipelines := []Pipeline{newPipeline(s, "backup pipeline", backup), newPipeline(s, "WAL pipeline", wal)}
	if len(hooks) > 0 {
		pipelines = append(pipelines, newPipeline(s, "hooks", hooks))
	}
	return pipelines
}

// Pipeline is some stages of a server.
type Pipeline struct {
	// Name is "backup pipeline", "WAL pipeline" or "hooks".
	Name string
	// Stages are in order.
	Stages []pipeline.Stage
}

func newPipeline(s *server.Server, name string, blocks []config.Stage) Pipeline {
	p := Pipeline{Name: name}
	for _, block := range blocks {
		p.Stages = append(p.Stages, s.Stage(block))
	}
	return p
}

// String lists the plugins in order: "pgbasebackup, compress, posix".
func (p Pipeline) String() string {
	var names []string
	for _, stage := range p.Stages {
		names = append(names, stage.Name)
	}
	return strings.Join(names, ", ")
}

// plugins starts every stage with its settings.
func (c *checker) plugins(ctx context.Context) []postgres.Check {
	var rows []postgres.Check
	for _, p := range Pipelines(c.server) {
		row := postgres.Check{Name: p.Name, OK: true, Hint: p.String()}
		if err := c.server.Engine.Check(ctx, c.server.ForStages(), p.Stages...); err != nil {
			row.OK, row.Hint = false, strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		rows = append(rows, row)
	}
	return rows
}

// slot returns the replication slot that WAL is streamed through, empty when
// there is none. A plugin that cannot be asked has a failed row elsewhere.
func (c *checker) slot(ctx context.Context) string {
	if c.server.Config.WAL.Source == nil {
		return ""
	}
	source, err := c.server.WALSource(ctx)
	if err != nil {
		return ""
	}
	return source.Slot
}
