package bucket

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

// Put stores an object: in one request if it fits a part, else in parts. WAL
// that is archived already, whatever it is compressed with, is an error of kind
// Exists.
func (s *Sink) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	key, err := s.layout.Key(o.Name, o.Kind)
	if err != nil {
		return sdk.Receipt{}, err
	}
	if r == nil {
		r = strings.NewReader("")
	}
	if o.Kind == sdk.KindSymlink {
		return s.putLink(ctx, o, key)
	}
	if err := s.ready(ctx); err != nil {
		return sdk.Receipt{}, err
	}
	// While the bytes come, the store can say what is there.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	archived := s.archived(ctx, o)
	size := s.options.SinglePut
	if o.Size >= 0 {
		size = min(size, max(o.Size, 1))
	}
	first, err := s.parts.take(ctx, size)
	if err != nil {
		return sdk.Receipt{}, err
	}
	in := &input{r: r}
	body, last, err := in.fill(first)
	if err != nil {
		s.parts.giveBack(first, true)
		return sdk.Receipt{}, err
	}
	if !last && o.Size >= 0 && o.Size < s.options.SinglePut {
		s.parts.giveBack(first, true)
		return sdk.Receipt{}, sdk.Errorf(sdk.Corrupt, "%s has more than the %d bytes that were announced", o.Name, o.Size)
	}
	others, err := archived()
	if err == nil && len(others) > 0 && !o.Replace {
		err = sdk.Errorf(sdk.Exists, "%s is already archived as %s", o.Name, s.where(others[0]))
	}
	if err != nil {
		s.parts.giveBack(first, true)
		return sdk.Receipt{}, err
	}
	if isWAL(o.Name) {
		key += WALSuffix(body[:min(len(body), codec.MagicSize)])
	}
	if last {
		err = s.putBytes(ctx, key, body, in.sum, !o.Replace)
		s.parts.giveBack(first, err == nil)
	} else {
		err = s.putParts(ctx, key, in, first, body, !o.Replace)
	}
	if err != nil {
		return sdk.Receipt{}, err
	}
	if err := s.removeOthers(ctx, key, others); err != nil {
		return sdk.Receipt{}, err
	}
	return sdk.Receipt{Name: o.Name, Size: in.size, CRC32C: in.sum}, nil
}

// archived asks for the keys under which a WAL file exists, and returns how to get
// the answer. For other objects there is nothing to ask.
func (s *Sink) archived(ctx context.Context, o sdk.Object) func() ([]string, error) {
	if !isWAL(o.Name) {
		return func() ([]string, error) { return nil, nil }
	}
	var keys []string
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		keys, failure = s.variants(ctx, o.Name)
	}()
	return func() ([]string, error) {
		<-done
		return keys, failure
	}
}

// removeOthers removes what a replaced WAL file was, if that had another key.
func (s *Sink) removeOthers(ctx context.Context, key string, others []string) error {
	var old []string
	for _, other := range others {
		if other != key {
			old = append(old, other)
		}
	}
	return s.deleteKeys(ctx, old)
}

// putLink stores a symbolic link: where it leads to is the body of its object.
func (s *Sink) putLink(ctx context.Context, o sdk.Object, key string) (sdk.Receipt, error) {
	body := []byte(o.LinkTarget)
	if err := s.ready(ctx); err != nil {
		return sdk.Receipt{}, err
	}
	if err := s.putBytes(ctx, key, body, crc32.Checksum(body, castagnoli), !o.Replace); err != nil {
		return sdk.Receipt{}, err
	}
	return sdk.Receipt{Name: o.Name}, nil
}

// putBytes stores an object in one request.
func (s *Sink) putBytes(ctx context.Context, key string, body []byte, sum uint32, ifAbsent bool) error {
	repeated := false
	return s.try(ctx, "store", key, func(ctx context.Context) error {
		err := s.store.Put(ctx, key, body, sum, ifAbsent)
		if repeated && sdk.KindOf(err) == sdk.Exists {
			return s.unlessOurs(ctx, key, int64(len(body)), sum, err)
		}
		repeated = true
		return err
	})
}

// unlessOurs is nil if an object exists because a request succeeded whose answer
// was lost: it holds the very bytes.
func (s *Sink) unlessOurs(ctx context.Context, key string, size int64, sum uint32, otherwise error) error {
	a, err := s.store.Head(ctx, key)
	if sdk.KindOf(err) == sdk.NotFound {
		return otherwise
	}
	if err != nil {
		return err
	}
	if a.Size != size {
		return otherwise
	}
	if !a.HasCRC32C {
		_, body, err := s.store.Get(ctx, key, a.ETag, 0, 0)
		if err != nil {
			return err
		}
		hash := crc32.New(castagnoli)
		if _, err = io.Copy(hash, body); err != nil {
			err = Network(err)
		}
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		a.CRC32C = hash.Sum32()
	}
	if a.CRC32C != sum {
		return otherwise
	}
	return nil
}

// input is the bytes of an object on their way into parts.
type input struct {
	r    io.Reader
	size int64
	sum  uint32
	// next is the byte that was read to learn whether there is one.
	next    [1]byte
	pending bool
}

// fill reads a part. last tells that nothing is left.
func (in *input) fill(buffer []byte) (part []byte, last bool, err error) {
	n := 0
	if in.pending {
		n = copy(buffer, in.next[:])
		in.pending = false
	}
	read, err := io.ReadFull(in.r, buffer[n:])
	part = buffer[:n+read]
	in.size += int64(len(part))
	in.sum = crc32.Update(in.sum, castagnoli, part)
	if err == io.EOF || err == io.ErrUnexpectedEOF && n+read < len(buffer) {
		return part, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	switch _, err := io.ReadFull(in.r, in.next[:]); err {
	case nil:
		in.pending = true
		return part, false, nil
	case io.EOF:
		return part, true, nil
	default:
		return nil, false, err
	}
}

// abortTime is how long an upload that failed may take to be forgotten.
const abortTime = 20 * time.Second

// putParts stores an object whose first part is read.
func (s *Sink) putParts(ctx context.Context, key string, in *input, buffer, body []byte, ifAbsent bool) error {
	var upload Upload
	err := s.try(ctx, "begin to store", key, func(ctx context.Context) (err error) {
		upload, err = s.store.Begin(ctx, key, ifAbsent)
		return err
	})
	if err != nil {
		s.parts.giveBack(buffer, true)
		return err
	}
	sweeping := s.sweep(ctx, key)
	err = s.storeParts(ctx, key, upload, in, buffer, body)
	if err == nil {
		err = s.complete(ctx, key, upload, in.size, in.sum, ifAbsent)
	}
	sweeping.Wait()
	if err != nil {
		s.abort(ctx, key, upload)
	}
	return err
}

// storeParts stores all parts, several at once.
func (s *Sink) storeParts(ctx context.Context, key string, upload Upload, in *input, buffer, body []byte) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.Parallel)
	if s.limits.Ordered {
		group.SetLimit(1)
	}
	reading := func() error {
		last := false
		for number := 1; ; number++ {
			p := part{number, buffer, body, last}
			group.Go(func() error { return s.storePart(ctx, key, upload, p) })
			if last {
				return nil
			}
			if s.limits.MaxParts > 0 && number == s.limits.MaxParts {
				return sdk.Errorf(sdk.Invalid, "store %s: more than the store can hold in one object, in %d parts; make archives smaller", s.where(key), number)
			}
			var err error
			if buffer, err = s.parts.take(ctx, partSize(s.options.PartSize, number+1, s.limits)); err != nil {
				return err
			}
			if body, last, err = in.fill(buffer); err != nil {
				s.parts.giveBack(buffer, true)
				return err
			}
		}
	}()
	// A part that could not be stored is why the reading of others was stopped.
	stored := group.Wait()
	if stored != nil && (reading == nil || ctx.Err() != nil && sdk.KindOf(reading) == sdk.Cancelled) {
		return stored
	}
	return errors.Join(reading, stored)
}

// part is a part of an upload, in its buffer.
type part struct {
	number       int
	buffer, body []byte
	last         bool
}

func (s *Sink) storePart(ctx context.Context, key string, upload Upload, p part) error {
	sum, attempts := crc32.Checksum(p.body, castagnoli), 0
	err := s.try(ctx, "store a part of", key, func(ctx context.Context) error {
		attempts++
		return upload.Part(ctx, p.number, p.body, sum, p.last)
	})
	s.parts.giveBack(p.buffer, err == nil && attempts == 1)
	return err
}

// complete makes an object of its parts. An upload that is gone when it is
// completed again was completed by the request whose answer got lost.
func (s *Sink) complete(ctx context.Context, key string, upload Upload, size int64, sum uint32, ifAbsent bool) error {
	repeated := false
	return s.try(ctx, "complete", key, func(ctx context.Context) error {
		err := upload.Complete(ctx, size, sum)
		kind := sdk.KindOf(err)
		if repeated && (kind == sdk.NotFound || kind == sdk.Exists && ifAbsent) {
			return s.unlessOurs(ctx, key, size, sum, err)
		}
		repeated = true
		return err
	})
}

// abort forgets an upload that failed, also when that was because the context
// ended.
func (s *Sink) abort(ctx context.Context, key string, upload Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	if err := s.try(ctx, "forget the upload of", key, upload.Abort); err != nil {
		hclog.FromContext(ctx).Warn("an unfinished upload is left in the bucket; it is removed with the next backup after a week, or by a lifecycle rule for incomplete uploads",
			"object", s.where(key), "error", err)
	}
}

// orphanAge is after how long an upload that was not completed is one of a
// process that died. No archive of a backup takes so long.
const orphanAge = 7 * 24 * time.Hour

// sweep forgets, once in a process and beside a backup, uploads of this server's
// backups that processes which died left behind.
func (s *Sink) sweep(ctx context.Context, key string) *sync.WaitGroup {
	var group sync.WaitGroup
	prefix := s.layout.Prefix + "base/"
	if !strings.HasPrefix(key, prefix) {
		return &group
	}
	s.swept.Do(func() {
		group.Go(func() {
			if err := s.store.Sweep(ctx, prefix, time.Now().Add(-orphanAge)); err != nil && ctx.Err() == nil {
				hclog.FromContext(ctx).Info("could not look for unfinished uploads of earlier backups; a lifecycle rule can remove them", "error", err)
			}
		})
	})
	return &group
}
