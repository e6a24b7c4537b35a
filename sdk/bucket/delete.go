package bucket

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Delete removes objects, as many in a request as the store takes. A WAL file goes
// with all that it is compressed with. Which keys an object has is known for those of
// backups; for others the store is asked.
func (s *Sink) Delete(ctx context.Context, names []string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var keys, elder, others []string
	for _, name := range names {
		if !sdk.ValidName(name) {
			return sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
		}
		key, only := s.onlyKey(name)
		if !only {
			others = append(others, name)
			continue
		}
		if key != "" {
			keys = append(keys, key)
		}
		if isAnnotation(name) {
			elder = append(elder, s.layout.annotations()+name)
		}
	}
	found, err := s.keysOf(ctx, others)
	if err != nil {
		return err
	}
	if err := s.deleteKeys(ctx, append(keys, found...)); err != nil {
		return err
	}
	// In requests of their own: MinIO takes both keys of an annotation for one name,
	// and waits for itself for ever.
	return s.deleteKeys(ctx, elder)
}

// onlyKey returns the one key that the object of a name can have, if there is only
// one: empty if no object can have the name. WAL may be compressed, and what is in
// the directories of a backup may be without bytes.
func (s *Sink) onlyKey(name string) (key string, only bool) {
	if isWAL(name) {
		return "", false
	}
	_, rest, ofBackup := ofBackup(name)
	if !ofBackup || toKey(name) == name && strings.Contains(rest, "/") && !isAnnotation(name) {
		return "", false
	}
	key, err := s.layout.Key(name, sdk.KindFile)
	if err != nil {
		return "", true
	}
	return key, true
}

// keysOf lists under which keys objects exist: one list for all those in one
// directory.
func (s *Sink) keysOf(ctx context.Context, names []string) ([]string, error) {
	names = slices.Sorted(slices.Values(names))
	var keys []string
	for len(names) > 0 {
		directory, count := path.Dir(names[0]), 1
		for count < len(names) && path.Dir(names[count]) == directory {
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
