package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// unpackTar unpacks an archive beneath the directory of its name: base.tar into
// the root, pg_tblspc/16400/16400.tar into pg_tblspc/16400.
//
// One goroutine reads the archive, others write the files. When it fails, what
// was written stays: the target of a failed recovery is cleared as a whole.
func (s *Sink) unpackTar(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if r == nil {
		r = strings.NewReader("")
	}
	in := &measured{ctx: ctx, r: r}
	crew := s.newCrew()
	err := s.unpackMembers(path.Dir(o.Name), bufio.NewReaderSize(in, bufferSize), crew)
	if failed := crew.wait(); failed != nil {
		// A reader that was stopped because of it has no news.
		err = failed
	}
	if err == nil {
		// The archive's end is followed by padding, which belongs to the object.
		_, err = io.Copy(io.Discard, in)
	}
	if err != nil {
		return sdk.Receipt{}, fmt.Errorf("unpack %s: %w", o.Name, err)
	}
	return in.receipt(o.Name), nil
}

// errCrewFailed tells that the crew's wait has the error.
var errCrewFailed = errors.New("writing failed")

func (s *Sink) unpackMembers(prefix string, r io.Reader, crew *crew) error {
	end := codec.NewTarEnd(r)
	archive := tar.NewReader(end)
	for {
		before := end.Count()
		header, err := archive.Next()
		if err == io.EOF {
			if end.Missing(before) {
				return sdk.Errorf(sdk.Corrupt, "the archive was cut off between two members: it does not have its end")
			}
			return nil
		}
		if err != nil {
			return damaged(err, "between two members")
		}
		if err := s.unpackMember(prefix, header, archive, crew); err != nil {
			return err
		}
	}
}

// damaged tells a damaged archive from a failing source.
func damaged(err error, where string) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return sdk.Errorf(sdk.Corrupt, "the archive ends too early, %s", where)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong), errors.Is(err, tar.ErrInsecurePath):
		return sdk.Errorf(sdk.Corrupt, "the archive is damaged %s: %w", where, err)
	}
	return err
}

func (s *Sink) unpackMember(prefix string, header *tar.Header, archive io.Reader, crew *crew) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := memberName(prefix, header)
	if err != nil {
		return err
	}
	mode := header.FileInfo().Mode().Perm()
	switch header.Typeflag {
	case tar.TypeDir:
		if name == path.Clean(prefix) {
			return nil
		}
		return suspicious(s.restoreDirectory(name, mode))
	case tar.TypeSymlink:
		return s.refuseLink(name)
	case tar.TypeReg:
		return s.unpackFile(name, mode, header, archive, crew)
	}
	return sdk.Errorf(sdk.Corrupt, "%s is of the type %q: the archive of a data directory holds files and directories only", name, header.Typeflag)
}

// suspicious tells that an archive, not the request, asks for what cannot be.
func suspicious(err error) error {
	switch sdk.KindOf(err) {
	case sdk.Exists, sdk.Invalid:
		return sdk.Errorf(sdk.Corrupt, "%w: a member comes twice or below a file, or the target was not empty", err)
	}
	return err
}

// memberName returns the name of a member below prefix.
func memberName(prefix string, header *tar.Header) (string, error) {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", sdk.Errorf(sdk.Corrupt, "%q is a sparse file: its size cannot be trusted", header.Name)
		}
	}
	name := strings.TrimSuffix(header.Name, "/")
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if name == "." || name == "" && strings.HasPrefix(header.Name, "./") {
		return path.Clean(prefix), nil
	}
	full := path.Join(prefix, name)
	if !sdk.ValidName(name) || !sdk.ValidName(full) {
		return "", sdk.Errorf(sdk.Corrupt, "the archive has a member with the impossible name %.200q", header.Name)
	}
	return full, nil
}

func (s *Sink) unpackFile(name string, mode fs.FileMode, header *tar.Header, archive io.Reader, crew *crew) error {
	task := &task{name: name, mode: mode, modified: header.ModTime}
	hand := crew.next()
	for left := header.Size; ; {
		chunk, err := crew.chunk()
		if err != nil {
			return err
		}
		chunk.bytes = chunk.bytes[:min(int64(cap(chunk.bytes)), left)]
		if _, err := io.ReadFull(archive, chunk.bytes); err != nil {
			crew.giveBack(chunk)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return damaged(err, "within "+name)
		}
		left -= int64(len(chunk.bytes))
		chunk.task, chunk.last = task, left == 0
		hand <- chunk
		if left == 0 {
			return nil
		}
	}
}
