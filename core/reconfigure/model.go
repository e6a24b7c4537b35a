package reconfigure

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/config/barmanconf"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Switch lays a model over a server, in place of the one that is there; an empty
// name takes the model off. Only a model of the server's cluster fits. It tells
// whether something has changed: then the configuration has to be loaded again.
func Switch(ctx context.Context, c *config.Config, s *config.Server, model string) (changed bool, err error) {
	path := filepath.Join(s.Directories.Backup, barmanconf.ActiveModelFile)
	if model != "" {
		found, err := c.Model(model)
		if err != nil {
			return false, err
		}
		if found.Cluster != s.Cluster {
			return false, sdk.Errorf(sdk.Invalid, "model %q is of cluster %q; server %q is of cluster %q", model, found.Cluster, s.Name, s.Cluster)
		}
	}
	// A model that is not laid over the server, though it should be, is a problem of
	// the server's, and the switch the way out.
	if model == s.ActiveModel && len(s.Problems) == 0 {
		return false, nil
	}
	lock, err := catalogue.LockUpdates(ctx, c.Global.LockDirectory)
	if err != nil {
		return false, err
	}
	if model == "" {
		err = durable.Remove(path)
	} else if err = durable.MakeDirectory(s.Directories.Backup); err == nil {
		err = durable.WriteFile(path, []byte(model), 0o600)
	}
	return err == nil, errors.Join(err, lock.Release())
}
