package recovery

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// Unpacking restores the files of a backup on this host, and nothing else: what WAL
// the server gets, and where it stops, is for others to say.
type Unpacking struct {
	// What is restored, for people: "backup 20260102T030405 of server main".
	What string
	// Backup tells the version and the tablespaces.
	Backup *catalogue.Backup
	// Destination is the data directory to make. It and the directories of tablespaces
	// must not exist, or be empty, but for what an interrupted restore has left there.
	Destination string
	// Tablespaces are new locations by tablespace name.
	Tablespaces map[string]string
	// Fill restores the files into a sink.
	Fill func(ctx context.Context, target pipeline.Stage) error
}

// Run unpacks the backup. Until it is done PostgreSQL does not start from the
// destination, and when it returns nil everything is durable. A restore that was
// interrupted begins anew.
//
// Errors: Invalid for impossible directories, Exists for those that are not empty,
// Busy while another one restores there, and those of Fill.
func (u Unpacking) Run(ctx context.Context) error {
	host := hostfs.Local{}
	r := &run{host: host, request: Request{Backup: u.Backup, Tablespaces: u.Tablespaces}, mounts: map[string]string{}, report: Report{Tablespaces: map[string]string{}}}
	path, err := filepath.Abs(u.Destination)
	if err == nil {
		path, err = host.Resolve(path)
	}
	if err != nil {
		return inDestination(err)
	}
	r.request.Destination = path
	if err := r.placeTablespaces(); err != nil {
		return err
	}
	if r.owner, err = host.Owner(path); err != nil {
		return inDestination(err)
	}
	all, created := r.destinations(), missing(r.destinations())
	for _, d := range all {
		held, err := d.hold()
		if err != nil {
			return err
		}
		defer func() { _ = held.Close() }() // nothing was written to it
	}
	e := errand{what: u.What}
	if err := u.prepare(all, e); err != nil {
		for _, path := range created {
			host.RemoveEmpty(path)
		}
		return err
	}
	if err := u.Fill(ctx, r.target()); err != nil {
		return err
	}
	if err := r.round(); err != nil {
		return err
	}
	for _, d := range all {
		if err := host.GiveTo(d.path, r.owner); err != nil {
			return err
		}
	}
	return complete(all, e)
}

func (u Unpacking) prepare(all []destination, e errand) error {
	for _, d := range all {
		if occupied([]destination{d}) {
			return sdk.Errorf(sdk.Exists, "%s is not empty: restore into a new or empty directory", d.path)
		}
	}
	_, err := prepareAll(all, e)
	return err
}

// round adds what PostgreSQL wants to find, and removes what would lead it astray:
// from tablespace_map it would make the tablespaces' links to where they were on the
// original server, and how that one recovered, or followed another one, is no matter
// of this one.
func (r *run) round() error {
	name := "pg_wal"
	if r.request.Backup.Version > 0 && r.request.Backup.Version < version10 {
		name = "pg_xlog"
	}
	errs := []error{makeDirectory(r.host, filepath.Join(r.request.Destination, name))}
	for _, name := range []string{"tablespace_map", "standby.signal", "recovery.signal", "recovery.conf"} {
		errs = append(errs, r.host.Remove(filepath.Join(r.request.Destination, name)))
	}
	return errors.Join(errs...)
}
