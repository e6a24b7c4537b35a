package cloud

import (
	"context"
	"path"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk/wal"
)

// WALFrom counts the WAL files of the server that belong to a timeline or a later
// one, of whatever kind; of timeline 0 all.
func (s *Store) WALFrom(ctx context.Context, timeline wal.Timeline) (int, error) {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	count := 0
	for object, err := range sink.List(ctx, catalogue.WALFolder+"/") {
		if err != nil {
			return 0, err
		}
		name, err := wal.ParseName(path.Base(object.Name))
		if err == nil && object.Name == catalogue.WALObject(name) && name.Timeline >= timeline {
			count++
		}
	}
	return count, nil
}
