package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/barman-go/barman/sdk"
)

// Delete removes objects in one request.
func (s *store) Delete(ctx context.Context, keys []string) error {
	if s.config.CheckObjectLock {
		if err := s.checkLocks(ctx, keys); err != nil {
			return err
		}
	}
	err := s.deleteAll(ctx, keys)
	if err != nil && asksForMD5(err) && !s.wantsMD5.Swap(true) {
		err = s.deleteAll(ctx, keys)
	}
	return s.fault(err, sdk.Exists)
}

func (s *store) deleteAll(ctx context.Context, keys []string) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &s.name, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	}, s.settings, func(o *s3.Options) {
		if s.wantsMD5.Load() {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware)
		}
	})
	if err != nil {
		return err
	}
	// What went wrong with one of them is told in the answer.
	for _, e := range out.Errors {
		code := aws.ToString(e.Code)
		refused := &smithy.GenericAPIError{Code: code, Message: aws.ToString(e.Key) + ": " + aws.ToString(e.Message)}
		if code != "NoSuchKey" && code != "NoSuchVersion" && !impossible(refused) {
			return refused
		}
	}
	return nil
}

// asksForMD5 tells whether a store wants the header that Amazon no longer needs.
func asksForMD5(err error) bool {
	var refused smithy.APIError
	return errors.As(err, &refused) &&
		(refused.ErrorCode() == "MissingContentMD5" || strings.Contains(strings.ToLower(refused.ErrorMessage()), "content-md5"))
}

// checkLocks makes sure that nothing of a backup is locked. WAL is not looked at: it
// is many objects, and what cannot be deleted stays.
func (s *store) checkLocks(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if !strings.Contains("/"+key, "/base/") {
			continue
		}
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.name, Key: &key}, s.settings)
		err = s.fault(err, sdk.Exists)
		if sdk.KindOf(err) == sdk.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if out.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn {
			return sdk.Errorf(sdk.Denied, "%s has a legal hold; nothing was deleted. Lift it first", key)
		}
		if until := aws.ToTime(out.ObjectLockRetainUntilDate); until.After(time.Now()) {
			return sdk.Errorf(sdk.Denied, "%s is locked until %s; nothing was deleted", key, until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
