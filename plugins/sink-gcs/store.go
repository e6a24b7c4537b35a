package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

const (
	// chunkUnit is what the size of all parts but the last is a multiple of.
	chunkUnit = 256 << 10
	maxObject = 5 << 40
	maxBatch  = 100
	pageSize  = 1000

	contentType = "application/octet-stream"
)

// store is a bucket as a bucket.Store.
type store struct {
	place       address
	endpoint    string
	project     string
	credentials *auth.Credentials // nil for an emulator
	http        *http.Client
	bucket      *storage.BucketHandle

	kmsKey, class string
	tags          bucket.Tags
}

var _ bucket.Store = (*store)(nil)

func newStore(ctx context.Context, place address, c *Config) (*store, error) {
	s := &store{place: place, kmsKey: c.KMSKey, class: c.StorageClass, tags: bucket.Tags{Objects: c.Tags, History: c.HistoryTags}}
	return s, s.connect(ctx, c)
}

// Limits tells what a bucket can take.
func (s *store) Limits() bucket.Limits {
	return bucket.Limits{MinPart: chunkUnit, MaxObject: maxObject, Delete: maxBatch, Ordered: true}
}

// Put stores an object in one request.
func (s *store) Put(ctx context.Context, key string, body []byte, crc32c uint32, ifAbsent bool) error {
	// Without this a failed Write would leave the request under way.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	object := s.bucket.Object(key)
	if ifAbsent {
		object = object.If(storage.Conditions{DoesNotExist: true})
	}
	w := object.NewWriter(ctx)
	w.ChunkSize = 0 // the bytes are in memory already
	w.CRC32C, w.SendCRC32C = crc32c, true
	w.ContentType, w.StorageClass, w.KMSKeyName, w.Metadata = contentType, s.class, s.kmsKey, s.tags.Of(key)
	if _, err := w.Write(body); err != nil {
		// What ended the request is the cause; the writing only noticed.
		return s.fault(errors.Join(w.Close(), err))
	}
	return s.fault(w.Close())
}

// Head returns the attributes of an object.
func (s *store) Head(ctx context.Context, key string) (bucket.Attributes, error) {
	o, err := s.bucket.Object(key).Attrs(ctx)
	if err != nil {
		return bucket.Attributes{}, s.fault(err)
	}
	return bucket.Attributes{Key: key, Size: o.Size, Modified: o.Updated, ETag: etag(o.Generation), CRC32C: o.CRC32C, HasCRC32C: true}, nil
}

// etag is the generation of an object: another one has other bytes.
func etag(generation int64) string { return strconv.FormatInt(generation, 10) }

// Get opens an object, or a range of it, of the generation that was read before.
func (s *store) Get(ctx context.Context, key, wanted string, offset, length int64) (bucket.Attributes, io.ReadCloser, error) {
	object := s.bucket.Object(key)
	if wanted != "" {
		generation, err := strconv.ParseInt(wanted, 10, 64)
		if err != nil {
			return bucket.Attributes{}, nil, sdk.Errorf(sdk.Invalid, "%q is no generation", wanted)
		}
		object = object.If(storage.Conditions{GenerationMatch: generation})
	}
	if length == 0 {
		length = -1 // to the end
	}
	r, err := object.NewRangeReader(ctx, offset, length)
	if isStatus(err, http.StatusPreconditionFailed) {
		return bucket.Attributes{}, nil, errReplaced
	}
	if err != nil {
		return bucket.Attributes{}, nil, s.fault(err)
	}
	a := bucket.Attributes{Key: key, Size: r.Attrs.Size, Modified: r.Attrs.LastModified, ETag: etag(r.Attrs.Generation), CRC32C: r.Attrs.CRC32C, HasCRC32C: r.Attrs.CRC32C != 0}
	if wanted != "" && a.ETag != wanted {
		return bucket.Attributes{}, nil, errors.Join(errReplaced, r.Close())
	}
	return a, r, nil
}

var errReplaced = sdk.Errorf(sdk.Corrupt, "it was replaced while it was being read")

func isStatus(err error, status int) bool {
	var answer *googleapi.Error
	return errors.As(err, &answer) && answer.Code == status
}

// List returns one page.
func (s *store) List(ctx context.Context, prefix, after string) (page []bucket.Attributes, more bool, err error) {
	query := &storage.Query{Prefix: prefix, StartOffset: after, Projection: storage.ProjectionNoACL}
	if err := query.SetAttrSelection([]string{"Name", "Size", "Updated"}); err != nil {
		return nil, false, err
	}
	var objects []*storage.ObjectAttrs
	next, err := iterator.NewPager(s.bucket.Objects(ctx, query), pageSize, "").NextPage(&objects)
	if err != nil {
		return nil, false, s.fault(err)
	}
	for _, o := range objects {
		if o.Name != after { // the page begins with it, if it still exists
			page = append(page, bucket.Attributes{Key: o.Name, Size: o.Size, Modified: o.Updated})
		}
	}
	return page, next != "", nil
}

// CreateBucket makes the bucket in the project that is set, or that the credentials
// belong to. Without the permission to make buckets one that is there will do.
func (s *store) CreateBucket(ctx context.Context) error {
	project, err := s.project, error(nil)
	if project == "" && s.credentials != nil {
		if project, err = s.credentials.ProjectID(ctx); err != nil {
			return s.fault(err)
		}
	}
	err = s.bucket.Create(ctx, project, &storage.BucketAttrs{})
	if isStatus(err, http.StatusConflict) {
		return nil // if it is somebody else's, the first request says so
	}
	if err = s.fault(err); sdk.KindOf(err) == sdk.Denied || sdk.KindOf(err) == sdk.Invalid {
		if _, _, listed := s.List(ctx, "", ""); listed == nil {
			return nil
		}
	}
	return err
}

// Sweep does nothing: Google forgets uploads that are not completed after a week, and
// does not tell of them.
func (s *store) Sweep(context.Context, string, time.Time) error { return nil }
