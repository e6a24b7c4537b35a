package verify

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/barman-go/barman/sdk/codec"
)

// archive checks the files of a tar file: base.tar has those of the data
// directory, pg_tblspc/16400/16400.tar those below that. Only errors of content
// come back; damage is a problem of the object.
func (r *run) archive(ctx context.Context, name, object string, content io.Reader) error {
	in := codec.NewInput(content)
	end := codec.NewTarEnd(in)
	members := tar.NewReader(end)
	for {
		before := end.Count()
		header, err := members.Next()
		switch {
		case errors.Is(err, io.EOF):
			if end.Missing(before) {
				r.damagedArchive(object, "was cut off between two members: it does not have its end")
			}
			return nil
		case in.Err() != nil:
			return in.Err()
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
		case in.Err() != nil:
			return in.Err()
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
