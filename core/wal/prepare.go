package wal

import (
	"context"
	"errors"
	"strings"

	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// prepare checks that the server can be received from and is the right one.
// Whether there is a slot the source finds out itself.
func (r *receiver) prepare(ctx context.Context) (sdk.ReceiveRequest, error) {
	facts, slot, err := r.ask(ctx)
	if err != nil {
		return sdk.ReceiveRequest{}, err
	}
	if facts.WALLevel == "minimal" {
		return sdk.ReceiveRequest{}, sdk.Errorf(sdk.Invalid, "server %q has wal_level = minimal: set it to replica or logical and restart PostgreSQL", r.server.Name())
	}
	if err := r.checkCluster(ctx, facts); err != nil {
		return sdk.ReceiveRequest{}, err
	}
	if err := r.checkSlot(ctx, facts, slot); err != nil {
		return sdk.ReceiveRequest{}, err
	}
	return sdk.ReceiveRequest{
		Directory:   r.server.Catalogue.Layout().StreamingDirectory,
		SegmentSize: facts.SegmentSize,
		Synchronous: waitsFor(facts.SynchronousStandbyNames, r.source.ApplicationName),
	}, nil
}

// ask asks the host that WAL is received from about itself and about the slot,
// which is the zero Slot when there is none.
func (r *receiver) ask(ctx context.Context) (postgres.Facts, postgres.Slot, error) {
	conn, err := r.server.ConnectWAL(ctx)
	if err != nil {
		return postgres.Facts{}, postgres.Slot{}, err
	}
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	var slot postgres.Slot
	if err == nil && r.source.Slot != "" {
		if slot, err = conn.Slot(ctx, r.source.Slot); sdk.KindOf(err) == sdk.NotFound {
			err = nil
		}
	}
	return facts, slot, errors.Join(err, conn.Close())
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
	if facts.Knows("system_identifier") && system.ID != facts.SystemID {
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

// checkSlot deals with a slot that no longer keeps WAL, because that became more
// than max_slot_wal_keep_size. Some versions of PostgreSQL still stream from it,
// and remove WAL all the same. With create_slot = "auto" it makes room for a new
// one: what was not received may still be there.
func (r *receiver) checkSlot(ctx context.Context, facts postgres.Facts, slot postgres.Slot) error {
	switch {
	case !slot.Lost():
		return nil
	case r.source.CreateSlot == "auto":
		r.server.Logger.Warn("the server has removed WAL that the replication slot was to keep (max_slot_wal_keep_size): the slot is made anew", "slot", slot.Name)
		_, err := DropSlot(ctx, r.server)
		return err
	}
	next, err := newestReceived(r.server, facts.SegmentSize)
	if err != nil {
		return err
	}
	received := "no WAL was received yet"
	if next != nil {
		received = "WAL was received up to " + next.Name(facts.SegmentSize)
	}
	name := r.server.Name()
	return sdk.Errorf(sdk.NotFound, "server %q: replication slot %q is lost: the server has removed WAL that the slot was to keep, because it became more than max_slot_wal_keep_size; "+
		"%s, the server writes %s. Make the slot anew with 'barman receive-wal --drop-slot %s' and 'barman receive-wal --create-slot %s'. "+
		"If 'barman receive-wal %s' then says that WAL is missing, run 'barman receive-wal --reset %s' and take a new backup",
		name, slot.Name, received, wal.SegmentAt(facts.Timeline, facts.LSN, facts.SegmentSize).Name(facts.SegmentSize), name, name, name, name)
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
	if facts.Knows("system_identifier") && facts.SystemID != system.ID {
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
