// Package hooks tells a server's hook plugins of events.
package hooks

import (
	"context"
	"fmt"
	"maps"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

// Notify tells all hooks of the event's operation and phase, in the order of
// the configuration. In the pre phase the first one that objects vetoes the
// operation, and its error is returned; in the post phase errors are logged.
// Every event has the values VERSION and CONFIGURATION beside its own.
func Notify(ctx context.Context, s *server.Server, event sdk.Event) error {
	event.Server = s.Name()
	values := map[string]string{"VERSION": version.Version, "CONFIGURATION": s.ConfigurationPath()}
	maps.Copy(values, event.Values)
	event.Values = values
	wanted := string(event.Phase) + "_" + event.Operation
	for _, hook := range s.Config.Hooks {
		if hook.Event != wanted {
			continue
		}
		err := s.Engine.Notify(ctx, s.ForStages(), s.Stage(hook.Stage), event)
		switch {
		case err == nil:
		case event.Phase == sdk.PhasePre:
			return fmt.Errorf("%s: %w", wanted, err)
		default:
			s.Logger.Warn("a hook failed", "hook", wanted, "error", err)
		}
	}
	return nil
}
