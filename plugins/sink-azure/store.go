package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// Limits of the service: Microsoft's "Scalability and performance targets for Blob
// storage".
const (
	minBlock  = 64 << 10
	maxBlock  = 4000 << 20
	maxPut    = 5000 << 20
	maxBlocks = 50_000
	maxBatch  = 256
)

// store is a container as a bucket.Store.
type store struct {
	place address
	login login
	blobs *container.Client

	scope *blob.CPKScopeInfo // nil for the container's own encryption
	tier  *blob.AccessTier   // nil for the account's
	tags  bucket.Tags

	mu sync.Mutex
	// marked holds where pages of lists end, by prefix and last key: Azure goes on
	// from a marker of its own, not from a key.
	marked map[[2]string]string
}

var _ bucket.Store = (*store)(nil)

// newStore opens a container. No request is sent.
func newStore(place address, c *Config) (*store, error) {
	transport, err := bucket.Transport(c.ReadTimeout)
	if err != nil {
		return nil, err
	}
	bucket.Throttle(transport, int64(c.BandwidthLimit))
	s := &store{place: place, login: findLogin(c, os.Getenv), tags: bucket.Tags{Objects: c.Tags, History: c.HistoryTags}, marked: map[[2]string]string{}}
	if c.EncryptionScope != "" {
		s.scope = &blob.CPKScopeInfo{EncryptionScope: &c.EncryptionScope}
	}
	if c.AccessTier != "" {
		s.tier = (*blob.AccessTier)(&c.AccessTier)
	}
	s.blobs, err = s.login.client(place, &http.Client{Transport: transport}, c.EncryptionScope)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Limits tells what a container can take.
func (s *store) Limits() bucket.Limits {
	return bucket.Limits{MinPart: minBlock, MaxPart: maxBlock, MaxParts: maxBlocks, Delete: maxBatch}
}

// Put stores a blob in one request.
func (s *store) Put(ctx context.Context, key string, body []byte, crc32c uint32, ifAbsent bool) error {
	if err := canStore(key); err != nil {
		return err
	}
	_, err := s.blobs.NewBlockBlobClient(blobName(key)).Upload(ctx, streaming.NopCloser(bytes.NewReader(body)), &blockblob.UploadOptions{
		Tags: s.tags.Of(key), Metadata: checksum(crc32c), Tier: s.tier, CPKScopeInfo: s.scope,
		TransactionalValidation: md5Of(body), AccessConditions: absent(ifAbsent),
	})
	return s.fault(err)
}

// md5Of has the service check what arrives. It could check a CRC-64 in less time, but
// not every implementation does.
func md5Of(body []byte) blob.TransferValidationType {
	sum := md5.Sum(body)
	return blob.TransferValidationTypeMD5(sum[:])
}

// absent is the condition that there is no blob yet.
func absent(wanted bool) *blob.AccessConditions {
	if !wanted {
		return nil
	}
	any := azcore.ETagAny
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &any}}
}

// checksumName is the metadata with the CRC-32C of a blob, in hexadecimal digits.
// Azure itself knows no checksum of blobs that are made of blocks.
const checksumName = "barman_crc32c"

func checksum(crc32c uint32) map[string]*string {
	text := hex.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32c))
	return map[string]*string{checksumName: &text}
}

// checksumOf reads the metadata of a blob. Their names come back in any case.
func checksumOf(metadata map[string]*string) (sum uint32, known bool) {
	for name, value := range metadata {
		if strings.EqualFold(name, checksumName) && value != nil {
			sum, err := strconv.ParseUint(*value, 16, 32)
			return uint32(sum), err == nil
		}
	}
	return 0, false
}

// Head returns the attributes of a blob.
func (s *store) Head(ctx context.Context, key string) (bucket.Attributes, error) {
	answer, err := s.blobs.NewBlobClient(blobName(key)).GetProperties(ctx, nil)
	if err != nil {
		return bucket.Attributes{}, s.fault(err)
	}
	a := bucket.Attributes{Key: key, Size: value(answer.ContentLength), Modified: value(answer.LastModified), ETag: string(value(answer.ETag))}
	a.CRC32C, a.HasCRC32C = checksumOf(answer.Metadata)
	return a, nil
}

// Get opens a blob, or a range of it.
func (s *store) Get(ctx context.Context, key, etag string, offset, length int64) (bucket.Attributes, io.ReadCloser, error) {
	options := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset, Count: length}}
	if etag != "" {
		options.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: (*azcore.ETag)(&etag)}}
	}
	answer, err := s.blobs.NewBlobClient(blobName(key)).DownloadStream(ctx, options)
	if bloberror.HasCode(err, bloberror.ConditionNotMet) {
		return bucket.Attributes{}, nil, sdk.Errorf(sdk.Corrupt, "it was replaced while it was being read")
	}
	if err != nil {
		return bucket.Attributes{}, nil, s.fault(err)
	}
	a := bucket.Attributes{Key: key, Size: value(answer.ContentLength), Modified: value(answer.LastModified), ETag: string(value(answer.ETag))}
	if answer.ContentRange != nil {
		a.Size, err = totalOf(*answer.ContentRange)
		if err != nil {
			return bucket.Attributes{}, nil, errors.Join(err, answer.Body.Close())
		}
	}
	a.CRC32C, a.HasCRC32C = checksumOf(answer.Metadata)
	return a, answer.Body, nil
}

// totalOf reads the size of the whole from "bytes 0-9/100".
func totalOf(contentRange string) (int64, error) {
	_, total, _ := strings.Cut(contentRange, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, sdk.Errorf(sdk.Unavailable, "the store answers with the range %q", contentRange)
	}
	return size, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// CreateBucket makes the container. Without the permission to make one, which a SAS
// token for a container never gives, one that is there will do.
func (s *store) CreateBucket(ctx context.Context) error {
	_, err := s.blobs.Create(ctx, nil)
	if bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil
	}
	if err = s.fault(err); sdk.KindOf(err) == sdk.Denied {
		if _, _, listed := s.List(ctx, "", ""); listed == nil {
			return nil
		}
	}
	return err
}

// Sweep does nothing: Azure forgets blocks that nobody commits after a week, and
// nothing that a program can do makes it forget them earlier without a trace.
func (s *store) Sweep(context.Context, string, time.Time) error { return nil }
