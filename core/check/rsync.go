package check

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/remote"
)

// fileBackup is the source that copies files, with rsync.
const fileBackup = "rsync"

// sshCommand leads to PostgreSQL's host; empty where the source does not use ssh.
func (c *checker) sshCommand() string {
	source := c.server.Config.Backup.Source
	if source.Name != fileBackup {
		return ""
	}
	return source.Text("ssh_command")
}

// overSSH tells whether PostgreSQL's host lets barman in, and says nothing that
// rsync would take for an answer of its own.
func (c *checker) overSSH(ctx context.Context) []postgres.Check {
	command := c.sshCommand()
	if command == "" {
		return nil
	}
	var said bytes.Buffer
	if err := (remote.Shell{Command: command}).Run(ctx, nil, &said, ":"); err != nil {
		return []postgres.Check{{Name: "ssh", Hint: "PostgreSQL server: " + err.Error()}}
	}
	rows := []postgres.Check{{Name: "ssh", OK: true, Hint: "PostgreSQL server"}}
	if said.Len() > 0 {
		rows = append(rows, postgres.Check{Name: "ssh output clean", Hint: "the shell there prints something when it starts: only do so on a terminal"})
	}
	return rows
}

// localDirectory tells whether the data directory can be read here, where backups
// copy it without ssh.
func (c *checker) localDirectory(report postgres.CheckReport) {
	if c.server.Config.Backup.Source.Name != fileBackup || c.sshCommand() != "" || report.DataDirectory == "" {
		return
	}
	if _, err := os.ReadFile(filepath.Join(report.DataDirectory, "PG_VERSION")); err != nil {
		c.bad("local PGDATA", err.Error())
		return
	}
	c.good("local PGDATA", "")
}
