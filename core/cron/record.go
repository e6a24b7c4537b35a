package cron

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// record is a file about the last process that cron started for one command of a
// server. Its first line tells with which settings; behind it the process writes
// what it says on standard error, which the next cron reads once the process has
// ended. The process has inherited the open file and a lock on it, which ends
// with it: cron sees even of one that has not got far whether it lives.
type record struct {
	file  *os.File
	alive bool
	// settings is empty while no process has been started.
	settings string
	said     string
}

const (
	maxSettings = 100
	// maxSaid is how much of what a process said is repeated, its end.
	maxSaid = 2000
)

// openRecord reads the record of a command; the caller closes it.
func openRecord(s *server.Server, command string) (*record, error) {
	path := filepath.Join(s.Catalogue.Layout().LockDirectory, "."+s.Name()+"-"+command+".started")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "record of the last %s: %w", command, err)
	}
	r := &record{file: file}
	if err := r.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("record of the last %s: %w", command, err), file.Close())
	}
	return r, nil
}

func (r *record) read() error {
	// Where files cannot be locked nobody is seen alive. Then a second process may
	// be started, which finds the server's own lock taken and ends.
	err := syscall.Flock(int(r.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	r.alive = errors.Is(err, syscall.EWOULDBLOCK)
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	first, err := io.ReadAll(io.NewSectionReader(r.file, 0, maxSettings))
	if err != nil {
		return err
	}
	settings, _, found := bytes.Cut(first, []byte("\n"))
	if !found {
		return nil // a full disk took no more
	}
	r.settings = string(settings)
	begin := max(int64(len(settings)+1), info.Size()-maxSaid)
	said, err := io.ReadAll(io.NewSectionReader(r.file, begin, maxSaid))
	r.said = strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))
	return err
}

// begin makes the file ready for the next process.
func (r *record) begin(settings string) error {
	if err := r.file.Truncate(0); err != nil {
		return err
	}
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := r.file.WriteString(settings + "\n")
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return r.file.Truncate(0) // what is to be started may need the space the least, or make some
	}
	return err
}

// settingsOf is a checksum of what a command of a server depends on that is read
// only once, when it starts.
func settingsOf(s *server.Server) string {
	sum := sha256.New()
	for _, conninfo := range []sdk.Secret{s.Config.Conninfo, s.Config.StreamingConninfo, s.Config.WALConninfo, s.Config.WALStreamingConninfo} {
		fmt.Fprintf(sum, "%q\n", conninfo.Reveal())
	}
	fmt.Fprintf(sum, "%q\n", s.Config.Directories.StreamingWALs)
	if s.Config.WAL.Source != nil {
		fmt.Fprintln(sum, s.Config.WAL.Source.Digest())
	}
	return hex.EncodeToString(sum.Sum(nil))
}
