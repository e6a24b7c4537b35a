package stage

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk/host"
)

// Launcher finds and starts plugins.
type Launcher struct {
	Finder
	// RunDirectory holds the control connections' sockets.
	RunDirectory string
	// Logger receives the plugins' logs, each under its stage's name.
	Logger hclog.Logger
}

// Launch starts a plugin. The caller must Stop it. Errors are those of Find and
// of host.Launch.
func (l Launcher) Launch(kind, name string) (*host.Stage, error) {
	p, err := l.Find(kind, name)
	if err != nil {
		return nil, err
	}
	return host.Launch(host.Binary{
		Path: p.Path, SHA256: p.SHA256, Environment: environment(p), Directory: l.RunDirectory,
		Logger: l.Logger.Named(Label(kind, name)),
	})
}

// Label is how a stage is named to people: sink "s3".
func Label(kind, name string) string { return fmt.Sprintf("%s %q", kind, name) }
