package wire

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/proto"
)

// Read emits what a sink stores.
func Read(ctx context.Context, sink sdk.Sink, selections []*proto.Selection, out *Outlet) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(len(out.lanes))
	err := func() error {
		for _, s := range selections {
			if !s.Prefix {
				group.Go(func() error { return readOne(ctx, sink, s.Name, cmp.Or(s.Rename, s.Name), s, out) })
				continue
			}
			for object, err := range sink.List(ctx, s.Name) {
				if err != nil {
					return err
				}
				name := s.Rename + strings.TrimPrefix(object.Name, s.Name)
				group.Go(func() error {
					if object.Kind == sdk.KindDirectory || object.Kind == sdk.KindSymlink {
						object.Name = name
						return out.Emit(ctx, object, nil, false, nil)
					}
					return readOne(ctx, sink, object.Name, name, s, out)
				})
				if ctx.Err() != nil {
					return nil
				}
			}
		}
		return nil
	}()
	if failed := group.Wait(); failed != nil {
		// The list was cut short because of it.
		return failed
	}
	return err
}

func readOne(ctx context.Context, sink sdk.Sink, name, rename string, s *proto.Selection, out *Outlet) error {
	if !sdk.ValidName(name) {
		return sdk.Errorf(sdk.Invalid, "%q is not an object name", name)
	}
	object, reader, err := sink.Get(ctx, name)
	if err != nil {
		return err
	}
	object.Name = rename
	object.Verbatim = s.Verbatim
	if s.Tar {
		object.Kind = sdk.KindTar
	}
	err = out.Emit(ctx, object, reader, false, nil)
	return errors.Join(err, reader.Close())
}
