package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/sdk/serve"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

// The test binary is barman, and also the plugins that its scripts configure.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"barman":             main,
		"barman-wal-archive": main,
		"barman-plugin-source-pgbasebackup": func() {
			serve.BackupSource(sdk.Info{Name: "pgbasebackup", Version: "1.0", Doc: "Has nothing to back up."},
				func(context.Context, sdk.Server, *noSettings) (sdk.BackupSource, error) { return nil, nil })
		},
		"barman-plugin-source-pgreceivewal": func() {
			serve.WALSource(sdk.Info{Name: "pgreceivewal", Version: "1.0", Doc: "Receives nothing."},
				func(context.Context, sdk.Server, *slotSettings) (sdk.WALSource, error) { return nil, nil })
		},
		"barman-plugin-transform-rot": func() {
			serve.Transform(sdk.Info{Name: "rot", Version: "2.1", Doc: "Rotates letters."},
				func(context.Context, sdk.Server, *rotSettings) (sdk.Transform, error) { return rot{}, nil })
		},
		"barman-plugin-sink-posix": func() {
			serve.Sink(sdk.Info{Name: "posix", Version: "1.0", Doc: "Stores nothing."},
				func(context.Context, sdk.Server, *noSettings) (sdk.Sink, error) { return nil, nil })
		},
	})
}

type noSettings struct{}

type slotSettings struct {
	Slot string `hcl:"slot,optional" doc:"The slot."`
}

type rotSettings struct {
	By     int        `hcl:"by,optional" default:"13" doc:"How far."`
	Secret sdk.Secret `hcl:"secret,optional" doc:"A secret."`
}

func (r *rotSettings) Validate() schema.Diagnostics {
	if r.By < 0 {
		return schema.Diagnostics{{Path: "by", Summary: "Backwards", Detail: "Letters rotate forwards only."}}
	}
	return nil
}

type rot struct{}

func (rot) Encode(context.Context, sdk.Object, io.Writer, io.Reader) error { return nil }
func (rot) Decode(context.Context, sdk.Object, io.Writer, io.Reader) error { return nil }
func (rot) Suffix() string                                                 { return "" }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			barman, err := exec.LookPath("barman")
			if err != nil {
				return err
			}
			env.Setenv("PLUGINS", filepath.Dir(barman))
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("BARMAN_CONFIG_FILE", filepath.Join(env.WorkDir, "barman.hcl"))
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a program and expects an exit code: exits 3 barman check
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENTS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}
