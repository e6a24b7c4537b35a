package sinks

import (
	"context"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
)

// listedAtOnce bounds how many names of a backup's objects are held in memory.
const listedAtOnce = 10_000

// Clear removes all objects of a backup from a sink, its description first: what
// is not complete must not look as if it were. In the server's directory the
// catalogue's own files stay.
func Clear(ctx context.Context, s *server.Server, at server.Sink, id catalogue.BackupID) error {
	sink, err := s.Engine.OpenSink(ctx, s.ForStages(), at.Stage)
	if err != nil {
		return err
	}
	defer sink.Close()
	if !at.Home {
		if err := sink.Delete(ctx, []string{catalogue.InfoObject(id)}); err != nil {
			return err
		}
	}
	for {
		var names []string
		for object, err := range sink.List(ctx, catalogue.BackupPrefix(id)) {
			if err != nil {
				return err
			}
			if at.Home && catalogue.Describes(object.Name) {
				continue
			}
			if names = append(names, object.Name); len(names) == listedAtOnce {
				break
			}
		}
		if len(names) == 0 {
			return nil
		}
		// Files before the directories that hold them.
		slices.Reverse(names)
		if err := sink.Delete(ctx, names); err != nil {
			return err
		}
	}
}
