package wal

import (
	"context"
	"errors"
	"strings"

	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// prepare checks that the server can be received from and is the right one.
// What concerns the slot the source checks itself.
func (r *receiver) prepare(ctx context.Context) (sdk.ReceiveRequest, error) {
	facts, err := readFacts(ctx, r.server)
	if err != nil {
		return sdk.ReceiveRequest{}, err
	}
	if facts.WALLevel == "minimal" {
		return sdk.ReceiveRequest{}, sdk.Errorf(sdk.Invalid, "server %q has wal_level = minimal: set it to replica or logical and restart PostgreSQL", r.server.Name())
	}
	if err := r.checkCluster(ctx, facts); err != nil {
		return sdk.ReceiveRequest{}, err
	}
	return sdk.ReceiveRequest{
		Directory:   r.server.Catalogue.Layout().StreamingDirectory,
		SegmentSize: facts.SegmentSize,
		Synchronous: waitsFor(facts.SynchronousStandbyNames, r.source.ApplicationName),
	}, nil
}

func readFacts(ctx context.Context, s *server.Server) (postgres.Facts, error) {
	conn, err := s.ConnectWAL(ctx)
	if err != nil {
		return postgres.Facts{}, err
	}
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	return facts, errors.Join(err, conn.Close())
}

// checkCluster makes sure that the connections lead to the cluster that the
// catalogue is about. facts are those of the host that WAL is received from; the
// one of conninfo, if that is another, may be down when there are backups.
func (r *receiver) checkCluster(ctx context.Context, facts postgres.Facts) error {
	conn, err := r.server.ConnectReplication(ctx, r.source)
	if err != nil {
		return err
	}
	system, err := conn.IdentifySystem(ctx)
	if err = errors.Join(err, conn.Close()); err != nil {
		return err
	}
	if system.ID != facts.SystemID {
		return sdk.Errorf(sdk.Invalid, "%s of server %q leads to the cluster with system identifier %s, its WAL source to %s: both must be the same server",
			r.askedThrough(), r.server.Name(), facts.SystemID, system.ID)
	}
	identity, err := r.server.Catalogue.ReadIdentity()
	if sdk.KindOf(err) == sdk.NotFound { // no backup yet
		return r.checkPrimary(ctx, system)
	}
	if err != nil {
		return err
	}
	if identity.SystemID != system.ID {
		return sdk.Errorf(sdk.Invalid, "server %q has the system identifier %s, its backups are of %s: correct conninfo, "+
			"or give the other cluster a server block of its own", r.server.Name(), system.ID, identity.SystemID)
	}
	return nil
}

// askedThrough is the setting that leads to where WAL is asked about.
func (r *receiver) askedThrough() string {
	if r.server.SeparateWALHost() {
		return "wal_conninfo"
	}
	return "conninfo"
}

// checkPrimary holds a host of its own for WAL against the server that is backed
// up, as long as no backup tells which cluster that is.
func (r *receiver) checkPrimary(ctx context.Context, system postgres.System) error {
	if !r.server.SeparateWALHost() {
		return nil
	}
	conn, err := r.server.Connect(ctx)
	if err != nil {
		return err
	}
	facts, err := conn.Facts(ctx)
	if err = errors.Join(err, conn.Close()); err != nil {
		return err
	}
	if facts.SystemID != system.ID {
		return sdk.Errorf(sdk.Invalid, "conninfo of server %q leads to the cluster with system identifier %s, its WAL source to %s: "+
			"WAL must be received from the same server or from a standby of it", r.server.Name(), facts.SystemID, system.ID)
	}
	return nil
}

// waitsFor tells whether synchronous_standby_names (PostgreSQL manual, section
// 20.6.2) names a standby. Names are compared without regard to case.
func waitsFor(names, standby string) bool {
	names = strings.TrimSpace(names)
	if open := strings.IndexByte(names, '('); open >= 0 && !strings.Contains(names[:open], `"`) {
		names = strings.TrimSuffix(names[open+1:], ")")
	}
	for _, name := range splitNames(names) {
		if name == "*" || strings.EqualFold(name, standby) {
			return true
		}
	}
	return false
}

// splitNames splits a list at its commas, outside of double quotes. A quoted
// name "*" means all standbys as well, as it does to PostgreSQL.
func splitNames(list string) []string {
	var names []string
	var name strings.Builder
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"' && quoted && i+1 < len(list) && list[i+1] == '"':
			name.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			names = append(names, name.String())
			name.Reset()
		case !quoted && strings.IndexByte(" \t\n\r\f\v", c) >= 0:
		default:
			name.WriteByte(c)
		}
	}
	return append(names, name.String())
}
