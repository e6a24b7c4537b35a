package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/barman-go/barman/sdk"
)

// Delete deletes blobs, several in one request. Missing ones are no error.
func (s *store) Delete(ctx context.Context, keys []string) error {
	if len(keys) == 1 {
		return s.deleteOne(ctx, keys[0])
	}
	batch, err := s.blobs.NewBatchBuilder()
	if err != nil {
		return s.fault(err)
	}
	for _, key := range keys {
		if err := batch.Delete(blobName(key), nil); err != nil {
			return s.fault(err)
		}
	}
	answer, err := s.blobs.SubmitBatch(ctx, batch, nil)
	if err != nil {
		err = s.fault(err)
		if kind := sdk.KindOf(err); kind != sdk.Denied && kind != sdk.Invalid {
			return err
		}
		// A SAS token may allow the deletions, but no batch; some services know none.
		return s.deleteEach(ctx, keys)
	}
	for _, item := range answer.Responses {
		if err := s.deletion(item.Error); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) deleteEach(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := s.deleteOne(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) deleteOne(ctx context.Context, key string) error {
	_, err := s.blobs.NewBlobClient(blobName(key)).Delete(ctx, nil)
	return s.deletion(err)
}

// deletion is the error of one deletion.
func (s *store) deletion(err error) error {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && !bloberror.HasCode(err, bloberror.ContainerNotFound) {
		return nil
	}
	return s.fault(err)
}
