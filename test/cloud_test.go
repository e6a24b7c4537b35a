package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// cloud is the place of server "main" in a bucket, on which the barman-cloud-*
// commands of both programs can be called.
type cloud struct {
	t      *testing.T
	bucket *storetest.Bucket
	server string
	env    []string // on top of the bucket's own
}

// newCloud is a place in a new bucket.
func newCloud(t *testing.T, provider storetest.Provider) cloud {
	t.Helper()
	return cloud{t: t, bucket: storetest.New(t, provider), server: "main"}
}

// in is the place for the use of a subtest.
func (c cloud) in(t *testing.T) cloud {
	c.t, c.bucket = t, c.bucket.In(t)
	return c
}

// of is the place of another server.
func (c cloud) of(server string) cloud {
	c.server = server
	return c
}

// with is the place under more variables of the environment, NAME=value.
func (c cloud) with(env ...string) cloud {
	c.env = append(append([]string{}, c.env...), env...)
	return c
}

// url is where the server's place is; the path in it is there to be got right.
func (c cloud) url() string { return c.bucket.URL + "/some/path" }

// key is the key of an object of the server's.
func (c cloud) key(name string) string { return "some/path/" + c.server + "/" + name }

// keys are the server's objects.
func (c cloud) keys() []string {
	c.t.Helper()
	var keys []string
	for _, key := range c.bucket.Keys(c.key("")) {
		keys = append(keys, strings.TrimPrefix(key, c.key("")))
	}
	return keys
}

// options are those that every command needs.
func (c cloud) options() []string {
	options := []string{"--cloud-provider", string(c.bucket.Provider)}
	if c.bucket.Provider == storetest.S3 {
		options = append(options, "--endpoint-url", c.bucket.Endpoint)
	}
	return options
}

// A cloudProgram is one of Debian's barman-cloud-* commands or of ours, by what
// comes after that, run to its end: with its options, and what follows URL and
// server.
type cloudProgram struct {
	name    string
	command func(c cloud, command string, options []string, rest ...string) *exec.Cmd
}

var (
	debiansCloud = cloudProgram{"Debian's", func(c cloud, command string, options []string, rest ...string) *exec.Cmd {
		cmd := c.command(debian(c.t, "barman-cloud-"+command), options, rest)
		shim, err := filepath.Abs("testdata/python-snappy")
		if err != nil {
			c.t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "PYTHONPATH="+shim)
		return cmd
	}}
	oursCloud = cloudProgram{"ours", func(c cloud, command string, options []string, rest ...string) *exec.Cmd {
		return c.command(filepath.Join(pgtest.BarmanBin(c.t), "barman-cloud-"+command), options, rest)
	}}
)

// command is a command in an environment that has what the bucket asks for, and
// no more.
func (c cloud) command(path string, options, rest []string) *exec.Cmd {
	args := append(append(c.options(), options...), c.url(), c.server)
	cmd := exec.CommandContext(c.t.Context(), path, append(args, rest...)...)
	cmd.Env = append(append([]string{"PATH=/usr/bin:/bin", "TZ=UTC", "LC_ALL=C.UTF-8"}, c.bucket.Env...), c.env...)
	return cmd
}

// run runs a command to its end.
func (c cloud) run(by cloudProgram, command string, options []string, rest ...string) pgtest.Result {
	c.t.Helper()
	return pgtest.Run(c.t, by.command(c, command, options, rest...))
}

// must runs a command, which must succeed, and returns what it printed.
func (c cloud) must(by cloudProgram, command string, options []string, rest ...string) string {
	c.t.Helper()
	r := c.run(by, command, options, rest...)
	if r.Code != 0 {
		c.t.Fatalf("barman-cloud-%s %q of server %s by %s: exit code %d\n%s%s", command, rest, c.server, by.name, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// archiveCommand is a cloud program as an archive_command ("%p" comes last) or a
// restore_command ("%f", "%p"). It is in a file of its own, because PostgreSQL 15
// cuts commands short that are longer than 1023 bytes.
func (c cloud) archiveCommand(by cloudProgram, command string, options []string, rest ...string) string {
	c.t.Helper()
	cmd := by.command(c, command, options)
	words := []string{"#!/bin/sh\nexec env -i"}
	for _, word := range slices.Concat(cmd.Env, cmd.Args) {
		words = append(words, "'"+strings.Replace(word, pgtest.BarmanBin(c.t), pgtest.EveryonesBin(c.t), 1)+"'")
	}
	path := filepath.Join(pgtest.Scratch(c.t), command)
	if err := os.WriteFile(path, []byte(strings.Join(words, " ")+" \"$@\"\n"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(append([]string{path}, rest...), " ")
}

// connected is the place with a server's superuser in the environment, as libpq
// has it.
func (c cloud) connected(server *pgtest.Cluster) cloud {
	return c.with("PGHOST="+server.SocketDir, fmt.Sprintf("PGPORT=%d", server.Port), "PGUSER=postgres")
}
