package bucket

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

// List yields the objects whose names begin with prefix. That the bucket does
// not exist is an error of kind NotFound. Keys that are not ours are passed
// over.
func (s *Sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		err := s.list(ctx, prefix, func(e entry) bool {
			o := sdk.Object{Name: e.Name, Kind: e.Kind, Size: e.attributes.Size, ModTime: e.attributes.Modified}
			if e.Kind == sdk.KindDirectory {
				o.Size = 0
			}
			if e.Kind == sdk.KindSymlink {
				target, err := s.target(ctx, e.attributes.Key)
				if err != nil {
					return yield(sdk.Object{}, err) && false
				}
				o.LinkTarget, o.Size = target, 0
			}
			return yield(o, nil)
		})
		if err == nil {
			return
		}
		if errors.Is(err, ErrNoBucket) {
			err = &sdk.Error{Kind: sdk.NotFound, Err: err}
		}
		yield(sdk.Object{}, err)
	}
}

// entry is an object in a list.
type entry struct {
	Named
	attributes Attributes
}

// list hands the entries whose names begin with prefix to take, in ascending order
// of their names and each name once, until take returns false. Of several keys
// for one name it is the plain one, or else the first.
func (s *Sink) list(ctx context.Context, prefix string, take func(entry) bool) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	held, err := s.doubleSlashed(ctx, prefix)
	if err != nil {
		return err
	}
	previous := ""
	// release takes what comes before floor; without one, everything.
	release := func(floor string, all bool) bool {
		for len(held) > 0 && (all || held[0].Name < floor) {
			e := heap.Pop(&held).(entry)
			if e.Name == previous {
				continue
			}
			previous = e.Name
			if !take(e) {
				return false
			}
		}
		return true
	}
	err = s.keys(ctx, s.layout.scope(prefix), func(a Attributes) bool {
		n, ok := s.layout.Name(a.Key)
		if !ok {
			s.passOver(ctx, a.Key)
			return true
		}
		if !release(s.layout.floor(a.Key, prefix), false) {
			return false
		}
		if strings.HasPrefix(n.Name, prefix) {
			heap.Push(&held, entry{n, a})
		}
		return true
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil {
		release("", true)
	}
	return err
}

// passOver says which key is none of ours. Consoles make objects that stand for
// folders, which nobody needs to know of.
func (s *Sink) passOver(ctx context.Context, key string) {
	if !strings.HasSuffix(key, "/") {
		hclog.FromContext(ctx).Debug("passed over an object that is not one of a backup", "object", s.where(key))
	}
}

// errEnough ends a list early.
var errEnough = errors.New("enough")

// keys hands every key with a prefix to take, until that returns false, which is
// errEnough.
func (s *Sink) keys(ctx context.Context, prefix string, take func(Attributes) bool) error {
	after := ""
	for {
		var page []Attributes
		var more bool
		err := s.try(ctx, "list", prefix, func(ctx context.Context) (err error) {
			page, more, err = s.store.List(ctx, prefix, after)
			return err
		})
		if err != nil {
			return err
		}
		for _, a := range page {
			if !take(a) {
				return errEnough
			}
		}
		if !more || len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].Key
	}
}

// doubleSlashed are the annotations that Python Barman keeps behind a double
// slash, if prefix may begin the name of one.
func (s *Sink) doubleSlashed(ctx context.Context, prefix string) (shelf, error) {
	if _, rest, ok := ofBackup(prefix); ok && !strings.HasPrefix("annotations/", rest[:min(len(rest), len("annotations/"))]) {
		return nil, nil
	}
	if !strings.HasPrefix(prefix, "base/") && !strings.HasPrefix("base/", prefix) {
		return nil, nil
	}
	other := Layout{Prefix: s.layout.annotations()}
	under := prefix
	if !strings.HasPrefix(under, "base/") {
		under = "base/"
	}
	var found shelf
	err := s.keys(ctx, other.Prefix+under, func(a Attributes) bool {
		if n, ok := other.Name(a.Key); ok && isAnnotation(n.Name) {
			n.Suffix = doubleSlash
			heap.Push(&found, entry{n, a})
		}
		return true
	})
	return found, err
}

// doubleSlash, as a suffix, puts an entry behind that of the same name which is in
// the right place.
const doubleSlash = "//"

// target is where a symbolic link leads to.
func (s *Sink) target(ctx context.Context, key string) (target string, err error) {
	err = s.try(ctx, "read", key, func(ctx context.Context) error {
		_, body, err := s.store.Get(ctx, key, "", 0, 0)
		if err != nil {
			return err
		}
		const longest = 4096 // PATH_MAX
		b, err := io.ReadAll(io.LimitReader(body, longest))
		target = string(b)
		return errors.Join(err, body.Close())
	})
	return target, err
}

// variants returns the keys under which an object exists, the one to prefer
// first. For WAL that is the plain file and what it may be compressed with.
func (s *Sink) variants(ctx context.Context, name string) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var keys []string
	err := s.keys(ctx, s.layout.Prefix+name, func(a Attributes) bool {
		if n, ok := s.layout.Name(a.Key); ok && n.Name == name && n.Kind == sdk.KindFile {
			keys = append(keys, a.Key)
		}
		return true
	})
	return keys, err
}

// shelf is a heap of entries, by name, then by suffix.
type shelf []entry

func (h shelf) Len() int { return len(h) }
func (h shelf) Less(i, j int) bool {
	if h[i].Name != h[j].Name {
		return h[i].Name < h[j].Name
	}
	return h[i].Suffix < h[j].Suffix
}
func (h shelf) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds an entry.
func (h *shelf) Push(x any) { *h = append(*h, x.(entry)) }

// Pop removes the last entry.
func (h *shelf) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
