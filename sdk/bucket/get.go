package bucket

import (
	"context"
	"errors"
	"hash/crc32"
	"io"

	"github.com/barman-go/barman/sdk"
)

// rangeSize is how many bytes one request of a large object asks for.
const rangeSize = 8 << 20

// Get opens an object. A WAL file is found by whatever it is compressed with, the
// plain one first.
func (s *Sink) Get(ctx context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	if !sdk.ValidName(name) {
		return sdk.Object{}, nil, sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
	}
	if err := s.ready(ctx); err != nil {
		return sdk.Object{}, nil, err
	}
	missing := sdk.Errorf(sdk.NotFound, "read %s: there is no such object", s.where(s.layout.Prefix+name))
	for _, lookup := range s.lookups(name) {
		places, err := lookup(ctx, name)
		if err != nil {
			return sdk.Object{}, nil, err
		}
		for _, p := range places {
			o, r, err := s.getFrom(ctx, name, p)
			if sdk.KindOf(err) != sdk.NotFound {
				return o, r, err
			}
			missing = err
		}
	}
	return sdk.Object{}, nil, missing
}

// place is where an object may be.
type place struct {
	key  string
	kind sdk.ObjectKind
}

// lookups are the ways to find where an object is, in the order in which to try
// them.
func (s *Sink) lookups(name string) []func(ctx context.Context, name string) ([]place, error) {
	type lookup = func(ctx context.Context, name string) ([]place, error)
	if isWAL(name) {
		return []lookup{s.compressed}
	}
	if _, only := s.onlyKey(name); only {
		return []lookup{s.known}
	}
	return []lookup{s.known, s.unusual}
}

// compressed are the places of a WAL file.
func (s *Sink) compressed(ctx context.Context, name string) ([]place, error) {
	keys, err := s.variants(ctx, name)
	var places []place
	for _, key := range keys {
		places = append(places, place{key, sdk.KindFile})
	}
	return places, err
}

// known are the places that nobody need be asked for.
func (s *Sink) known(_ context.Context, name string) ([]place, error) {
	var places []place
	if key, err := s.layout.Key(name, sdk.KindFile); err == nil {
		places = append(places, place{key, sdk.KindFile})
	}
	if isAnnotation(name) {
		places = append(places, place{s.layout.annotations() + name, sdk.KindFile})
	}
	return places, nil
}

// unusual are the places of objects without bytes.
func (s *Sink) unusual(ctx context.Context, name string) ([]place, error) {
	var places []place
	err := s.keys(ctx, s.layout.Prefix+name+markPrefix, func(a Attributes) bool {
		if n, ok := s.layout.Name(a.Key); ok && n.Name == name {
			places = append(places, place{a.Key, n.Kind})
		}
		return true
	})
	return places, err
}

// getFrom opens an object at one place.
func (s *Sink) getFrom(ctx context.Context, name string, p place) (sdk.Object, io.ReadCloser, error) {
	d, err := s.open(ctx, p.key)
	if err != nil {
		return sdk.Object{}, nil, err
	}
	o := sdk.Object{Name: name, Kind: p.kind, Size: d.attributes.Size, ModTime: d.attributes.Modified}
	if p.kind == sdk.KindFile {
		return o, d, nil
	}
	return s.withoutBytes(o, d)
}

// withoutBytes makes an object without bytes of what stands for it.
func (s *Sink) withoutBytes(o sdk.Object, d *download) (sdk.Object, io.ReadCloser, error) {
	const longest = 4096 // PATH_MAX
	target, err := io.ReadAll(io.LimitReader(d, longest))
	if err = errors.Join(err, d.Close()); err != nil {
		return sdk.Object{}, nil, err
	}
	if o.Size = 0; o.Kind == sdk.KindSymlink {
		o.LinkTarget = string(target)
	}
	return o, io.NopCloser(io.LimitReader(d, 0)), nil
}

// download reads an object: a small one as the answer to one request, a large one
// range by range. The first range, and each for which there is no room, comes
// straight from its answer; others are fetched ahead.
type download struct {
	sink       *Sink
	ctx        context.Context
	cancel     context.CancelFunc
	attributes Attributes

	body  io.ReadCloser // the answer that is being read, or nil
	until int64         // where its range ends
	ahead []*fetched    // the ranges behind it, in order
	next  int64         // where what nobody fetches yet begins
	// current is the buffer of a fetched range, part what is left of it.
	current, part []byte

	offset int64
	sum    uint32
	failed error
}

// fetched is a range that is fetched ahead.
type fetched struct {
	buffer []byte
	done   chan struct{}
	err    error
}

func (s *Sink) open(ctx context.Context, key string) (*download, error) {
	ctx, cancel := context.WithCancel(ctx)
	d := &download{sink: s, ctx: ctx, cancel: cancel}
	err := s.try(ctx, "read", key, func(ctx context.Context) (err error) {
		d.attributes, d.body, err = s.store.Get(ctx, key, "", 0, 0)
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	d.attributes.Key = key
	d.until = min(rangeSize, d.attributes.Size)
	if d.attributes.Size < 2*rangeSize {
		d.until = d.attributes.Size
	}
	d.next = d.until
	return d, nil
}

// Read reads on. It ends with an error of kind Corrupt, instead of the end, when
// the bytes are not those that were stored.
func (d *download) Read(p []byte) (int, error) {
	if d.failed != nil || len(p) == 0 {
		return 0, d.failed
	}
	n, err := d.read(p)
	d.sum = crc32.Update(d.sum, castagnoli, p[:n])
	d.offset += int64(n)
	if err == nil && n == 0 && d.offset == d.attributes.Size {
		err = io.EOF
		if a := d.attributes; a.HasCRC32C && a.CRC32C != d.sum {
			err = d.sink.explain("read", a.Key, sdk.Errorf(sdk.Corrupt, "the bytes have the checksum %08x (CRC-32C), the store has %08x for them; the object is damaged", d.sum, a.CRC32C))
		}
	}
	d.failed = err
	return n, err
}

func (d *download) read(p []byte) (int, error) {
	d.fetchAhead()
	for d.offset < d.attributes.Size {
		switch {
		case len(d.part) > 0:
			n := copy(p, d.part)
			if d.part = d.part[n:]; len(d.part) == 0 {
				d.sink.ranges.giveBack(d.current, true)
				d.current = nil
			}
			return n, nil
		case d.offset < d.until:
			return d.direct(p[:min(int64(len(p)), d.until-d.offset)])
		case len(d.ahead) > 0:
			d.closeBody()
			f := d.ahead[0]
			<-f.done
			d.ahead = d.ahead[1:]
			if f.err != nil {
				d.sink.ranges.giveBack(f.buffer, true)
				return 0, f.err
			}
			d.current, d.part = f.buffer, f.buffer
			d.fetchAhead()
		default:
			d.closeBody()
			d.until = min(d.offset+rangeSize, d.attributes.Size)
			d.next = d.until
		}
	}
	return 0, nil
}

// direct reads from the answer to a request, and from that to another one if it is
// cut short.
func (d *download) direct(p []byte) (int, error) {
	if d.body != nil {
		n, err := d.body.Read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		// Whatever it was, the other request finds out whether it lasts.
		d.closeBody()
	}
	n := 0
	err := d.sink.try(d.ctx, "read on in", d.attributes.Key, func(ctx context.Context) (err error) {
		if _, d.body, err = d.sink.store.Get(ctx, d.attributes.Key, d.attributes.ETag, d.offset, d.until-d.offset); err != nil {
			return err
		}
		for n == 0 && err == nil {
			n, err = d.body.Read(p)
		}
		if n > 0 {
			return nil
		}
		d.closeBody()
		return Network(err)
	})
	return n, err
}

// closeBody lets go of the answer that is being read. Nothing more is wanted of it:
// that it was not read to its end is no error.
func (d *download) closeBody() {
	if d.body != nil {
		_ = d.body.Close()
		d.body = nil
	}
}

// fetchAhead begins to fetch as many ranges as there is room for.
func (d *download) fetchAhead() {
	for d.next < d.attributes.Size {
		from := d.next
		buffer := d.sink.ranges.tryTake(min(rangeSize, d.attributes.Size-from))
		if buffer == nil {
			return
		}
		d.next = from + int64(len(buffer))
		f := &fetched{buffer: buffer, done: make(chan struct{})}
		d.ahead = append(d.ahead, f)
		go func() {
			defer close(f.done)
			f.err = d.fetch(from, f.buffer)
		}()
	}
}

// fetch fills a buffer with the bytes from an offset.
func (d *download) fetch(offset int64, buffer []byte) error {
	for len(buffer) > 0 {
		n := 0
		err := d.sink.try(d.ctx, "read", d.attributes.Key, func(ctx context.Context) error {
			_, body, err := d.sink.store.Get(ctx, d.attributes.Key, d.attributes.ETag, offset, int64(len(buffer)))
			if err != nil {
				return err
			}
			n, err = io.ReadFull(body, buffer)
			_ = body.Close() // all that is wanted of it was read, or it has failed
			if n > 0 {
				return nil
			}
			return Network(err)
		})
		if err != nil {
			return err
		}
		offset, buffer = offset+int64(n), buffer[n:]
	}
	return nil
}

// Close ends the requests that are under way.
func (d *download) Close() error {
	d.cancel()
	for _, f := range d.ahead {
		<-f.done
		d.sink.ranges.giveBack(f.buffer, true)
	}
	if d.current != nil {
		d.sink.ranges.giveBack(d.current, true)
	}
	d.ahead, d.current, d.part = nil, nil, nil
	if d.failed == nil {
		d.failed = errors.New("the object was closed")
	}
	d.closeBody()
	return nil
}
