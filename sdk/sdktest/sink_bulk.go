package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/internal/wire"
)

func (s subject) sinkSmall(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	var pieces []piece
	for i := range s.small {
		pieces = append(pieces, file(fmt.Sprintf("%s%03d/%06d", prefix, i%100, i), content{seed: uint64(i), size: int64(i % 300)}))
	}
	book, err := s.store(t, session, 2, false, pieces...)
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	book.compare(t, pieces)
	listed, last := 0, ""
	for o, err := range session.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if o.Kind == sdk.KindDirectory {
			continue
		}
		if o.Name <= last {
			t.Fatalf("%q is listed after %q", o.Name, last)
		}
		listed, last = listed+1, o.Name
	}
	if listed != s.small {
		t.Errorf("%d objects are listed, %d were stored", listed, s.small)
	}
	s.givesBack(t, session, prefix, pieces)
}

// givesBack reads everything below prefix over two lanes and compares.
func (s subject) givesBack(t T, session *session, prefix string, pieces []piece) {
	t.Helper()
	var mu sync.Mutex
	left := map[string]content{}
	for _, p := range pieces {
		left[p.object.Name] = p.bytes
	}
	o := s.run(t, line{
		lanes: 2, steps: []*step{{session: session, operation: host.Read([]host.Selection{{Name: prefix, Prefix: true, Rename: prefix}})}},
		patience: 10 * time.Minute,
		take: taking(false, func(o sdk.Object, r io.Reader) error {
			if o.Kind == sdk.KindDirectory {
				return nil
			}
			mu.Lock()
			want, known := left[o.Name]
			delete(left, o.Name)
			mu.Unlock()
			if !known {
				t.Errorf("%q came twice, or was never stored", o.Name)
				return discard(o, r)
			}
			difference, err := want.verify(r)
			if difference != "" {
				t.Errorf("object %q comes back with %s", o.Name, difference)
			}
			_, draining := io.Copy(io.Discard, r)
			return errors.Join(err, draining)
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("read: %v", err)
	}
	if len(left) > 0 {
		t.Errorf("%d objects did not come back", len(left))
	}
}

func (s subject) sinkLanes(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	const lanes = 4
	begun, all := make(chan struct{}, lanes), make(chan struct{})
	go func() {
		for range lanes {
			<-begun
		}
		close(all)
	}()
	var pieces []piece
	for i := range lanes {
		pieces = append(pieces, file(fmt.Sprintf("%s%d", prefix, i), content{seed: uint64(i), size: 12 << 20, fill: random}))
	}
	book := newReceiptBook()
	o := s.run(t, line{
		lanes: lanes, steps: []*step{{session: session, operation: host.Put()}},
		emit: emitting(false, book.add, func(ctx context.Context, out *wire.Outlet) error {
			errs := make(chan error, lanes)
			for _, p := range pieces {
				go func() {
					r := io.MultiReader(io.LimitReader(p.reader(), 8<<20), &gate{begun: begun, all: all, ctx: ctx}, skip(p.bytes, 8<<20))
					errs <- out.Emit(ctx, p.object, r, false, nil)
				}()
			}
			var err error
			for range lanes {
				err = errors.Join(err, <-errs)
			}
			return err
		}),
	})
	if err := o.err(); err != nil {
		t.Fatalf("store: %v", err)
	}
	book.compare(t, pieces)
	s.givesBack(t, session, prefix, pieces)
}

func (s subject) sinkLarge(t T) {
	session := s.open(t)
	prefix := s.below(t, session)
	p := file(prefix+"large", content{seed: 1, size: s.largest})
	s.stored(t, session, p)
	s.holds(t, session, p)
}

func (s subject) sinkMemory(t T) {
	prefix := s.below(t, s.open(t))
	p := file(prefix+"stream", content{seed: 1, size: min(1<<30, s.largest)})
	writer, reader := s.open(t), s.open(t)
	s.stored(t, writer, p)
	s.checkMemory(t, writer, "storing")
	s.holds(t, reader, p)
	s.checkMemory(t, reader, "reading")
}
