package host

import (
	"errors"
	"os"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/wal"
)

func receiptsFromProto(p *proto.Receipts) []sdk.Receipt {
	receipts := make([]sdk.Receipt, 0, len(p.Receipts))
	for _, r := range p.Receipts {
		receipts = append(receipts, wire.ReceiptFromProto(r))
	}
	return receipts
}

func resultFromProto(p *proto.BackupResult) sdk.BackupResult {
	r := sdk.BackupResult{
		SystemID: p.SystemId, Timeline: wal.Timeline(p.Timeline), BeginLSN: wal.LSN(p.BeginLsn), EndLSN: wal.LSN(p.EndLsn),
		BeginTime: timeOf(p.BeginTime), EndTime: timeOf(p.EndTime), Label: p.Label, Codec: p.Codec,
	}
	for _, t := range p.Tablespaces {
		r.Tablespaces = append(r.Tablespaces, sdk.Tablespace{OID: t.Oid, Location: t.Location})
	}
	return r
}

func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
