package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// store is a bucket. It is a bucket.Store.
type store struct {
	client *s3.Client
	name   string
	config *Config
	tags   bucket.Tags
	// region is what to ask instead of the client's region, once the store said so;
	// anyRegion lets it.
	region    atomic.Pointer[string]
	anyRegion bool

	// What the store does not know.
	noCondition, noChecksum, wantsMD5 atomic.Bool
}

var _ bucket.Store = (*store)(nil)

func newStore(ctx context.Context, name string, c *Config) (*store, error) {
	client, region, err := newClient(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &store{
		client: client, name: name, config: c, anyRegion: region == "",
		tags: bucket.Tags{Objects: c.Tags, History: c.HistoryTags},
	}
	// Who sets AWS_REQUEST_CHECKSUM_CALCULATION=when_required has a store that cannot.
	s.noChecksum.Store(client.Options().RequestChecksumCalculation == aws.RequestChecksumCalculationWhenRequired)
	return s, nil
}

// Limits are those of Amazon, and of most others.
func (s *store) Limits() bucket.Limits {
	return bucket.Limits{MinPart: minPart, MaxPart: maxPart, MaxParts: maxParts, Delete: 1000}
}

// settings are a request's own.
func (s *store) settings(o *s3.Options) {
	if region := s.region.Load(); region != nil {
		o.Region = *region
	}
}

// payload are the settings of a request that carries the bytes of an object.
func (s *store) payload(o *s3.Options) {
	s.settings(o)
	if s.noChecksum.Load() {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		return
	}
	unsigned(o)
}

// Put stores an object in one request.
func (s *store) Put(ctx context.Context, key string, body []byte, crc32c uint32, ifAbsent bool) error {
	return s.negotiate(func() error {
		in := &s3.PutObjectInput{
			Bucket: &s.name, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
			ServerSideEncryption: types.ServerSideEncryption(s.config.Encryption), SSEKMSKeyId: optional(s.config.KMSKeyID),
			StorageClass: types.StorageClass(s.config.StorageClass), Tagging: tagging(s.tags, key),
			ChecksumCRC32C: s.checksum(crc32c),
		}
		in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus = s.lock()
		var err error
		if in.IfNoneMatch, err = s.condition(ctx, key, ifAbsent); err != nil {
			return err
		}
		_, err = s.client.PutObject(ctx, in, s.payload)
		return s.fault(err, sdk.Exists)
	})
}

// condition is the header that keeps an object that exists. Where there is none the
// store is asked.
func (s *store) condition(ctx context.Context, key string, ifAbsent bool) (*string, error) {
	if !ifAbsent {
		return nil, nil
	}
	if !s.noCondition.Load() {
		return aws.String("*"), nil
	}
	_, err := s.Head(ctx, key)
	switch {
	case err == nil:
		return nil, sdk.Errorf(sdk.Exists, "it exists already")
	case sdk.KindOf(err) == sdk.NotFound:
		return nil, nil
	}
	return nil, err
}

// negotiate makes a request again, without what the store says it does not know.
func (s *store) negotiate(request func() error) error {
	err := request()
	for _, known := range []*atomic.Bool{&s.noCondition, &s.noChecksum} {
		if err == nil || !errors.Is(err, errUnimplemented) {
			return err
		}
		if !known.Swap(true) {
			err = request()
		}
	}
	return err
}

// lock is how an object is locked.
func (s *store) lock() (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	l := s.config.ObjectLock
	if l == nil {
		return "", nil, ""
	}
	if l.Mode != "" {
		mode, until = types.ObjectLockMode(l.Mode), aws.Time(time.Now().AddDate(0, 0, l.RetainDays))
	}
	if l.LegalHold {
		hold = types.ObjectLockLegalHoldStatusOn
	}
	return mode, until, hold
}

// checksum is a CRC-32C as a header has it.
func (s *store) checksum(crc32c uint32) *string {
	if s.noChecksum.Load() {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32c)))
}

// parseChecksum reads the CRC-32C of a whole object. One of the checksums of its
// parts says nothing to us.
func parseChecksum(text *string, of types.ChecksumType) (crc32c uint32, known bool) {
	if text == nil || of == types.ChecksumTypeComposite {
		return 0, false
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if err != nil || len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// Get opens an object or a range of it.
func (s *store) Get(ctx context.Context, key, etag string, offset, length int64) (bucket.Attributes, io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: &s.name, Key: &key, IfMatch: optional(etag)}
	whole := offset == 0 && length == 0
	switch {
	case whole:
		in.ChecksumMode = types.ChecksumModeEnabled
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	default:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in, s.settings)
	if impossible(err) {
		return bucket.Attributes{}, nil, sdk.Errorf(sdk.NotFound, "there is no such object")
	}
	if err != nil {
		return bucket.Attributes{}, nil, s.fault(err, sdk.Corrupt)
	}
	a := bucket.Attributes{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}
	if out.ContentLength == nil {
		_ = out.Body.Close() // nobody knows where it would end
		return a, nil, sdk.Errorf(sdk.Unavailable, "the store does not say how large the object is")
	}
	if whole {
		a.CRC32C, a.HasCRC32C = parseChecksum(out.ChecksumCRC32C, out.ChecksumType)
		return a, out.Body, nil
	}
	var from, to int64
	if _, err := fmt.Sscanf(aws.ToString(out.ContentRange), "bytes %d-%d/%d", &from, &to, &a.Size); err != nil || from != offset {
		_ = out.Body.Close() // it is of no use
		return a, nil, sdk.Errorf(sdk.Corrupt, "the store was asked for bytes from %d on and returned %q", offset, aws.ToString(out.ContentRange))
	}
	return a, out.Body, nil
}

// Head returns what the store knows of an object.
func (s *store) Head(ctx context.Context, key string) (bucket.Attributes, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.name, Key: &key, ChecksumMode: types.ChecksumModeEnabled}, s.settings)
	if err != nil {
		return bucket.Attributes{}, s.fault(err, sdk.Exists)
	}
	a := bucket.Attributes{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}
	a.CRC32C, a.HasCRC32C = parseChecksum(out.ChecksumCRC32C, out.ChecksumType)
	return a, nil
}

// List returns a page of keys. They come escaped, because XML cannot hold all that
// keys can.
func (s *store) List(ctx context.Context, prefix, after string) ([]bucket.Attributes, bool, error) {
	out, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.name, Prefix: &prefix, StartAfter: optional(after), EncodingType: types.EncodingTypeUrl,
	}, s.settings)
	if impossible(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.fault(err, sdk.Exists)
	}
	page := make([]bucket.Attributes, 0, len(out.Contents))
	for _, object := range out.Contents {
		key := aws.ToString(object.Key)
		if out.EncodingType == types.EncodingTypeUrl {
			if key, err = url.QueryUnescape(key); err != nil {
				return nil, false, sdk.Errorf(sdk.Corrupt, "the list has the key %q, which is not escaped as it says", aws.ToString(object.Key))
			}
		}
		page = append(page, bucket.Attributes{Key: key, Size: aws.ToInt64(object.Size), Modified: aws.ToTime(object.LastModified), ETag: aws.ToString(object.ETag)})
	}
	return page, aws.ToBool(out.IsTruncated), nil
}

// CreateBucket makes the bucket.
func (s *store) CreateBucket(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &s.name}
	region := s.client.Options().Region
	if other := s.region.Load(); other != nil {
		region = *other
	}
	if region != defaultRegion && s.client.Options().BaseEndpoint == nil {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	// Who may use a bucket need not be allowed to make one.
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.name}, s.settings)
	if err = s.fault(err, sdk.Exists); sdk.KindOf(err) != sdk.NotFound {
		return err
	}
	_, err = s.client.CreateBucket(ctx, in, s.settings)
	if ours(err) {
		return nil
	}
	return s.fault(err, sdk.Exists)
}

// optional is nil for the empty string.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
