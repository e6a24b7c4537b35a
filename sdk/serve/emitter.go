package serve

import (
	"context"
	"io"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
)

// emitter is what a source emits to.
type emitter struct {
	out   *wire.Outlet
	meter *wire.Meter
}

func (e emitter) Emit(ctx context.Context, o sdk.Object, r io.Reader) error {
	return e.out.Emit(ctx, o, r, false, nil)
}

func (e emitter) Expect(bytes int64) { e.meter.Expected.Store(bytes) }

func resultToProto(r sdk.BackupResult) *proto.BackupResult {
	p := &proto.BackupResult{
		SystemId: r.SystemID, Timeline: uint32(r.Timeline), BeginLsn: uint64(r.BeginLSN), EndLsn: uint64(r.EndLSN),
		BeginTime: nanoseconds(r.BeginTime), EndTime: nanoseconds(r.EndTime), Label: r.Label, Codec: r.Codec,
	}
	for _, t := range r.Tablespaces {
		p.Tablespaces = append(p.Tablespaces, &proto.Tablespace{Oid: t.OID, Location: t.Location})
	}
	return p
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
