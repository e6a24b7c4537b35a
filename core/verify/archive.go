package verify

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"
)

// archive checks the files of a tar file: base.tar has those of the data
// directory, pg_tblspc/16400/16400.tar those below that. Only errors of content
// come back; damage is a problem of the object.
func (r *run) archive(ctx context.Context, name, object string, content io.Reader) error {
	in := &ending{r: content}
	members := tar.NewReader(in)
	for {
		before := in.count
		header, err := members.Next()
		switch {
		case errors.Is(err, io.EOF):
			if in.zeros < endOfTar || in.count-before < endOfTar {
				r.damagedArchive(object, "was cut off between two members: it does not have its end")
			}
			return nil
		case in.failed != nil:
			return in.failed
		case err != nil:
			r.damagedArchive(object, "is damaged between two members: "+err.Error())
			return nil
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		f := found{path: memberPath(path.Dir(name), header.Name), size: header.Size}
		err = r.checker.file(ctx, f, members)
		switch {
		case in.failed != nil:
			return in.failed
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.damagedArchive(object, "is damaged within "+printable(f.path)+": "+err.Error())
			return nil
		}
	}
}

func (r *run) damagedArchive(object, text string) {
	r.incomplete = true
	r.checker.problems.add(Damaged, object, "", "%s", text)
}

// memberPath is the path in the manifest of a member of an archive. It is only
// compared.
func memberPath(directory, name string) string {
	return path.Join(directory, strings.TrimPrefix(name, "/"))
}

// endOfTar is the size of the two empty blocks that end an archive (POSIX pax,
// "ustar Interchange Format"). The tar package takes one that was cut off between
// two members for a whole one.
const endOfTar = 2 * 512

// ending looks at what passes by for the end of an archive.
type ending struct {
	r      io.Reader
	count  int64 // bytes that came
	zeros  int   // bytes of zero that came last
	failed error // of r
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	zeros := 0
	for zeros < min(n, endOfTar) && p[n-1-zeros] == 0 {
		zeros++
	}
	if zeros == n {
		zeros += e.zeros
	}
	e.zeros = zeros
	e.count += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		e.failed = err
	}
	return n, err
}
