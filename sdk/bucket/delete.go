package bucket

import (
	"context"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Delete removes objects, as many in a request as the store takes, in the order
// of their names here. A WAL file goes with all that it is compressed with.
func (s *Sink) Delete(ctx context.Context, names []string) error {
	var keys []string
	var segments []string
	for _, name := range names {
		if !sdk.ValidName(name) {
			return sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
		}
		if isWAL(name) {
			segments = append(segments, name)
			continue
		}
		for _, kind := range kindsOf(name) {
			key, err := s.layout.Key(name, kind)
			if err != nil {
				continue // no object has this name
			}
			keys = append(keys, key)
		}
		if isAnnotation(name) {
			keys = append(keys, s.layout.annotations()+name)
		}
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	archived, err := s.archivedKeys(ctx, segments)
	if err != nil {
		return err
	}
	return s.deleteKeys(ctx, append(keys, archived...))
}

// kindsOf are the kinds of object that may have a name.
func kindsOf(name string) []sdk.ObjectKind {
	if _, rest, ok := ofBackup(name); ok && (toKey(name) != name || !strings.Contains(rest, "/")) {
		return []sdk.ObjectKind{sdk.KindFile}
	}
	return []sdk.ObjectKind{sdk.KindFile, sdk.KindDirectory, sdk.KindSymlink}
}

// archivedKeys lists under which keys WAL files exist: one list for all that lie in
// one directory of the archive.
func (s *Sink) archivedKeys(ctx context.Context, names []string) ([]string, error) {
	names = slices.Sorted(slices.Values(names))
	var keys []string
	for len(names) > 0 {
		directory := names[0][:strings.LastIndexByte(names[0], '/')+1]
		count := 1
		for count < len(names) && strings.LastIndexByte(names[count], '/')+1 == len(directory) && strings.HasPrefix(names[count], directory) {
			count++
		}
		together := names[:count]
		names = names[count:]
		// What the first and the last have in common, all between them have.
		first, last := together[0], together[count-1]
		common := 0
		for common < min(len(first), len(last)) && first[common] == last[common] {
			common++
		}
		err := s.keys(ctx, s.layout.Prefix+first[:common], func(a Attributes) bool {
			if n, ok := s.layout.Name(a.Key); ok {
				if _, wanted := slices.BinarySearch(together, n.Name); wanted {
					keys = append(keys, a.Key)
				}
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (s *Sink) deleteKeys(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, s.limits.Delete) {
		err := s.try(ctx, "delete", part[0], func(ctx context.Context) error { return s.store.Delete(ctx, part) })
		if err != nil {
			return err
		}
	}
	return nil
}
