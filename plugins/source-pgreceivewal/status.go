package main

import (
	"encoding/binary"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/barman-go/barman/sdk/wal"
)

// statusUpdate is a standby status update (PostgreSQL manual, section 55.4):
// positions written, flushed and applied, the time in microseconds since 2000,
// and whether the server shall answer at once. The library's own would report
// as applied what was only written.
func statusUpdate(written, flushed wal.LSN, now time.Time, ask bool) []byte {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	message := []byte{pglogrepl.StandbyStatusUpdateByteID}
	message = binary.BigEndian.AppendUint64(message, uint64(written))
	message = binary.BigEndian.AppendUint64(message, uint64(flushed))
	message = binary.BigEndian.AppendUint64(message, 0)
	message = binary.BigEndian.AppendUint64(message, uint64(now.Sub(epoch).Microseconds()))
	if ask {
		return append(message, 1)
	}
	return append(message, 0)
}
