package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/backupapi"
	"github.com/barman-go/barman/sdk/datadir"
	"github.com/barman-go/barman/sdk/replication"
)

// place makes sure that a directory on this host is the data directory of the
// server at the other end of the connection. The wrong one, a standby's for
// instance, to which the same path leads, would make a backup that nobody notices
// to be worthless.
type place struct {
	conninfo        sdk.Secret
	applicationName string
	directory       string
	server          backupapi.Server
}

func (p place) verify(ctx context.Context) error {
	control, err := readControl(filepath.Join(p.directory, datadir.Control))
	if err != nil {
		return sdk.Errorf(kindOr(err, sdk.Invalid), "the data directory of the server, %s, cannot be read on this host: %w; "+
			"take the backup on the host of the server as the user that PostgreSQL runs as, or over the replication protocol", p.directory, unreadable(err))
	}
	if id := strconv.FormatUint(control.systemID, 10); id != p.server.SystemID {
		return p.wrong("its system identifier is %s, that of the server %s", id, p.server.SystemID)
	}
	if control.inRecovery() != p.server.Standby {
		return p.wrong("one is a standby, the other is not")
	}
	running, err := startTime(filepath.Join(p.directory, "postmaster.pid"))
	if err != nil {
		return p.wrong("no server runs in it: %w", err)
	}
	started, err := p.started(ctx)
	if err != nil {
		return err
	}
	if difference := started.Sub(running).Abs(); difference > startTolerance {
		return p.wrong("the server that runs in it was started %s apart from the one of the connection", difference.Round(time.Second))
	}
	return nil
}

// startTolerance is how far apart the two times may be of which the server takes
// one as it begins to start, the other once its shared memory is there.
const startTolerance = time.Minute

func (p place) wrong(format string, args ...any) error {
	return sdk.Errorf(sdk.Invalid, "%s on this host is not the data directory of the server of the connection: %w; give data_directory if it is elsewhere, "+
		"or take the backup on the host of the server", p.directory, fmt.Errorf(format, args...))
}

func (p place) started(ctx context.Context) (time.Time, error) {
	rows, err := replication.SQL(ctx, p.conninfo, p.applicationName, "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint")
	if err != nil {
		return time.Time{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return time.Time{}, errors.New("start time of the server: the answer has an unknown form")
	}
	micros, err := strconv.ParseInt(rows[0][0], 10, 64)
	return time.UnixMicro(micros), err
}

// startTime reads from postmaster.pid when the server was started (PostgreSQL's
// src/include/utils/pidfile.h).
func startTime(path string) (time.Time, error) {
	const startLine = 3
	content, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, err
	}
	lines := strings.Split(string(content), "\n")
	if len(lines) < startLine {
		return time.Time{}, fmt.Errorf("%s is too short", path)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(lines[startLine-1]), 10, 64)
	return time.Unix(seconds, 0), err
}

// control is the beginning of pg_control, which is the same in all versions
// (PostgreSQL's src/include/catalog/pg_control.h).
type control struct {
	systemID uint64
	state    uint32
}

// States of a running server.
const (
	stateCrashRecovery   = 4
	stateArchiveRecovery = 5
)

func (c control) inRecovery() bool {
	return c.state == stateCrashRecovery || c.state == stateArchiveRecovery
}

func readControl(path string) (control, error) {
	f, err := os.Open(path)
	if err != nil {
		return control{}, err
	}
	defer f.Close() // it was only read from
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return control{}, fmt.Errorf("%s: %w", path, err)
	}
	// The server is on this host, and so has its byte order.
	return control{systemID: binary.NativeEndian.Uint64(head[:]), state: binary.NativeEndian.Uint32(head[16:])}, nil
}

func kindOr(err error, kind sdk.ErrorKind) sdk.ErrorKind {
	if found := sdk.KindOf(unreadable(err)); found != sdk.Unknown {
		return found
	}
	return kind
}
