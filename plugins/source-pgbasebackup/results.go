package main

import (
	"fmt"
	"strconv"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

// position is the row with which the server begins and ends a backup.
type position struct {
	lsn      wal.LSN
	timeline wal.Timeline
}

func parsePosition(rows []replication.Row) (position, error) {
	if len(rows) != 1 || len(rows[0]) < 2 {
		return position{}, fmt.Errorf("WAL position: the server's answer has an unknown form")
	}
	lsn, err := wal.ParseLSN(rows[0][0])
	if err != nil {
		return position{}, err
	}
	timeline, err := replication.ParseTimeline(rows[0][1])
	if err != nil {
		return position{}, err
	}
	return position{lsn, timeline}, nil
}

// directory is what one archive holds: a tablespace, or the data directory,
// whose oid is 0.
type directory struct {
	oid      uint32
	location string
	bytes    int64
}

// parseDirectories reads the list of tablespaces: oid, location and size in
// kB; the data directory is the row without oid and location.
func parseDirectories(rows []replication.Row) ([]directory, error) {
	var list []directory
	seen := map[uint32]bool{}
	for _, row := range rows {
		if len(row) < 3 {
			return nil, fmt.Errorf("list of tablespaces: a row has %d columns, expected 3", len(row))
		}
		d := directory{location: row[1]}
		if row[0] != "" {
			oid, err := strconv.ParseUint(row[0], 10, 32)
			if err != nil || oid == 0 {
				return nil, fmt.Errorf("list of tablespaces: %q is not an oid", row[0])
			}
			d.oid = uint32(oid)
		}
		if seen[d.oid] {
			return nil, fmt.Errorf("list of tablespaces: %d is there twice", d.oid)
		}
		seen[d.oid] = true
		if row[2] != "" {
			kilobytes, err := strconv.ParseInt(row[2], 10, 64)
			if err != nil || kilobytes < 0 || kilobytes > 1<<52 {
				return nil, fmt.Errorf("list of tablespaces: %q is not a size in kB", row[2])
			}
			d.bytes = kilobytes << 10
		}
		list = append(list, d)
	}
	if !seen[0] {
		return nil, fmt.Errorf("list of tablespaces: the data directory is not in it")
	}
	return list, nil
}

func tablespacesOf(list []directory) []sdk.Tablespace {
	var found []sdk.Tablespace
	for _, d := range list {
		if d.oid != 0 {
			found = append(found, sdk.Tablespace{OID: d.oid, Location: d.location})
		}
	}
	return found
}

func totalOf(list []directory) int64 {
	var total int64
	for _, d := range list {
		total += d.bytes
	}
	return total
}
