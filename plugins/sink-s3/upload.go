package main

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// upload is a multipart upload.
type upload struct {
	store    *store
	key, id  string
	ifAbsent bool
	// checks is the kind of checksum that the store agreed to: of the whole object,
	// of the parts, or none.
	checks types.ChecksumType

	mu    sync.Mutex
	parts []types.CompletedPart
}

// Begin begins a multipart upload.
func (s *store) Begin(ctx context.Context, key string, ifAbsent bool) (bucket.Upload, error) {
	u := &upload{store: s, key: key, ifAbsent: ifAbsent}
	return u, s.negotiate(func() error {
		in := &s3.CreateMultipartUploadInput{
			Bucket: &s.name, Key: &key,
			ServerSideEncryption: types.ServerSideEncryption(s.config.Encryption), SSEKMSKeyId: optional(s.config.KMSKeyID),
			StorageClass: types.StorageClass(s.config.StorageClass), Tagging: tagging(s.tags, key),
		}
		in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus = s.lock()
		if !s.noChecksum.Load() {
			in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject
		}
		out, err := s.client.CreateMultipartUpload(ctx, in, s.settings)
		if err != nil {
			return s.fault(err, sdk.Exists)
		}
		u.id = aws.ToString(out.UploadId)
		if out.ChecksumAlgorithm == types.ChecksumAlgorithmCrc32c {
			if u.checks = out.ChecksumType; u.checks == "" {
				u.checks = types.ChecksumTypeComposite
			}
		}
		return nil
	})
}

// Part stores a part.
func (u *upload) Part(ctx context.Context, number int, body []byte, crc32c uint32, _ bool) error {
	s, sum := u.store, u.store.checksum(crc32c)
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.name, Key: &u.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number)),
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ChecksumCRC32C: sum,
	}, s.payload)
	if err != nil {
		return s.fault(err, sdk.Exists)
	}
	part := types.CompletedPart{PartNumber: aws.Int32(int32(number)), ETag: out.ETag}
	if u.checks != "" {
		part.ChecksumCRC32C = sum
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.parts) < number {
		u.parts = append(u.parts, types.CompletedPart{})
	}
	u.parts[number-1] = part
	return nil
}

// Complete makes an object of the parts.
func (u *upload) Complete(ctx context.Context, size int64, crc32c uint32) error {
	s := u.store
	u.mu.Lock()
	defer u.mu.Unlock()
	return s.negotiate(func() error {
		in := &s3.CompleteMultipartUploadInput{
			Bucket: &s.name, Key: &u.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
		}
		if u.checks == types.ChecksumTypeFullObject {
			in.ChecksumCRC32C, in.ChecksumType, in.MpuObjectSize = s.checksum(crc32c), u.checks, &size
		}
		var err error
		if in.IfNoneMatch, err = s.condition(ctx, u.key, u.ifAbsent); err != nil {
			return err
		}
		_, err = s.client.CompleteMultipartUpload(ctx, in, s.settings)
		return s.fault(err, sdk.Exists)
	})
}

// Abort forgets the upload.
func (u *upload) Abort(ctx context.Context) error {
	return u.store.abort(ctx, u.key, u.id)
}

func (s *store) abort(ctx context.Context, key, id string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.name, Key: &key, UploadId: &id}, s.settings)
	if err = s.fault(err, sdk.Exists); sdk.KindOf(err) == sdk.NotFound {
		return nil
	}
	return err
}

// Sweep aborts uploads that were begun before a moment and never completed.
func (s *store) Sweep(ctx context.Context, prefix string, before time.Time) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.name, Prefix: &prefix}
	for {
		out, err := s.client.ListMultipartUploads(ctx, in, s.settings)
		if err != nil {
			return s.fault(err, sdk.Exists)
		}
		for _, u := range out.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(before) {
				continue
			}
			if err := s.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId)); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}
