// Command plugin is a plugin that does what the tests of package host ask for.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

type config struct {
	Password sdk.Secret `hcl:"password,optional" doc:"A secret."`
}

func main() {
	switch os.Getenv("ROLE") {
	case "silent":
		time.Sleep(time.Hour)
	case "old":
		fmt.Println("1|99|unix|/nowhere|grpc")
		time.Sleep(time.Hour)
	case "babbler":
		fmt.Println("Usage: plugin [options]")
		fmt.Fprintln(os.Stderr, "unknown option")
	case "source":
		serve.BackupSource(sdk.Info{Name: "test", Doc: "Is tested."}, func(_ context.Context, s sdk.Server, _ *config) (sdk.BackupSource, error) {
			return source{s.Directory}, nil
		})
	default:
		serve.Hook(sdk.Info{Name: "test", Doc: "Is tested."}, func(context.Context, sdk.Server, *config) (sdk.Hook, error) { return hook{}, nil })
	}
}

// source waits until it is cancelled and takes its time to clean up.
type source struct{ directory string }

func (s source) Backup(ctx context.Context, _ sdk.BackupRequest, _ sdk.Emitter) (sdk.BackupResult, error) {
	if err := os.WriteFile(s.directory+"/begun", nil, 0o600); err != nil {
		return sdk.BackupResult{}, err
	}
	<-ctx.Done()
	time.Sleep(300 * time.Millisecond)
	return sdk.BackupResult{}, os.WriteFile(s.directory+"/cleaned", nil, 0o600)
}

type hook struct{}

func (hook) Notify(ctx context.Context, e sdk.Event) error {
	log := hclog.FromContext(ctx)
	switch e.Operation {
	case "log":
		log.Trace("a trace")
		log.Debug("a debug line")
		log.Info("an info", "backup", "20260102T030405", "size", 12)
		log.Warn("a warning")
		log.Error("an error")
		fmt.Fprintln(os.Stderr, "a plain line")
		log.Info(strings.Repeat("long", 50_000))
		log.Info("the end")
	case "environment":
		return fmt.Errorf("%q", os.Environ())
	case "panic":
		go panic("out of cheese")
		<-ctx.Done()
	case "wait":
		log.Info("waiting")
		<-ctx.Done()
	case "child":
		child := exec.Command("sleep", "1000")
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			return err
		}
		log.Info("started", "child", child.Process.Pid)
		<-ctx.Done()
	case "unavailable":
		return sdk.Errorf(sdk.Unavailable, "the bucket is throttled")
	case "read":
		_, err := io.ReadAll(os.Stdin)
		return err
	}
	return nil
}
