package check

import (
	"context"
	"strings"
	"sync"

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

// plugins starts every stage with its settings, all side by side.
func (c *checker) plugins(ctx context.Context) []postgres.Check {
	pipelines := Pipelines(c.server)
	rows := make([]postgres.Check, len(pipelines))
	var group sync.WaitGroup
	for i, p := range pipelines {
		group.Go(func() {
			rows[i] = postgres.Check{Name: p.Name, OK: true, Hint: p.String()}
			if err := c.server.Engine.Check(ctx, c.server.ForStages(), p.Stages...); err != nil {
				rows[i].OK, rows[i].Hint = false, strings.ReplaceAll(err.Error(), "\n", "; ")
			}
		})
	}
	group.Wait()
	return rows
}

// slot returns the replication slot that WAL is streamed through, empty when
// there is none.
func (c *checker) slot() string {
	if c.server.Config.WAL.Source == nil {
		return ""
	}
	return c.server.Config.WAL.Source.Text("slot")
}

// The rows below are named after the programs that Barman in Python runs. What
// watches Barman from outside looks for them, also where the work is the
// plugins': there is no program to be found or compared.

const (
	nativeBackup   = "pgbasebackup"
	nativeReceiver = "pgreceivewal"
)

// compression is good: settings that are wrong fail the row of their pipeline.
func (c *checker) compression() { c.good("compression settings", "") }

// baseBackup tells whether base backups of the server's version can be taken.
func (c *checker) baseBackup(remote postgres.CheckReport) {
	if c.server.Config.Backup.Source.Name != nativeBackup {
		return
	}
	c.good("pg_basebackup", "")
	c.compatible("pg_basebackup compatible", remote)
	c.good("pg_basebackup supports tablespaces mapping", "")
}

// streaming tells whether WAL of the server's version can be received.
func (c *checker) streaming(remote postgres.CheckReport) {
	if c.server.Config.WAL.Source.Name != nativeReceiver {
		return
	}
	c.good("pg_receivexlog", "")
	c.compatible("pg_receivexlog compatible", remote)
}

func (c *checker) compatible(name string, remote postgres.CheckReport) {
	if remote.Version == "" {
		c.bad(name, "PostgreSQL version: None")
		return
	}
	c.good(name, "")
}
