package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// fault gives an error of the library a kind, and a text that says what to do.
// failedCondition is the kind of one about a condition that a request had.
func (s *store) fault(err error, failedCondition sdk.ErrorKind) error {
	if err == nil {
		return nil
	}
	var classified *sdk.Error
	if errors.As(err, &classified) {
		return err
	}
	if text := err.Error(); strings.Contains(text, "get credentials:") || strings.Contains(text, "get identity:") {
		return s.credentialFault(err)
	}
	status := 0
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	var refused smithy.APIError
	if errors.As(err, &refused) {
		if region := s.regionOf(answer, refused); region != "" {
			return s.elsewhere(region)
		}
		return s.refusal(refused, status, failedCondition)
	}
	if status >= 300 {
		return sdk.Errorf(bucket.KindOfStatus(status), "the store answers with status %d: %s", status, http.StatusText(status))
	}
	if !reached(err) {
		return sdk.Errorf(sdk.Invalid, "the request cannot be made: %w", err)
	}
	return bucket.Network(err)
}

// reached tells whether an error is one of a request on its way, or of its answer. All
// others are those of the library, to which the settings make no sense.
func reached(err error) bool {
	var sending *smithyhttp.RequestSendError
	var answer *smithyhttp.ResponseError
	var reading *smithy.DeserializationError
	return errors.As(err, &sending) || errors.As(err, &answer) || errors.As(err, &reading) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// refusal is the error for an answer with a code. It does not quote the whole
// answer, in which there may be a part of a credential.
func (s *store) refusal(refused smithy.APIError, status int, failedCondition sdk.ErrorKind) error {
	code, said := refused.ErrorCode(), strings.TrimSpace(refused.ErrorMessage())
	switch code {
	case "NoSuchBucket":
		return sdk.Errorf(sdk.NotFound, "%w: create the bucket %q, or check the url", bucket.ErrNoBucket, s.name)
	case "NoSuchKey", "NotFound":
		return sdk.Errorf(sdk.NotFound, "there is no such object")
	case "NoSuchUpload":
		return sdk.Errorf(sdk.NotFound, "the upload is gone: it was completed, or somebody else, such as a lifecycle rule, removed it")
	case "PreconditionFailed":
		if failedCondition == sdk.Corrupt {
			return sdk.Errorf(sdk.Corrupt, "it was replaced while it was read")
		}
		return sdk.Errorf(failedCondition, "it exists already")
	case "InvalidRange":
		return sdk.Errorf(sdk.Corrupt, "it is shorter than it was")
	case "ConditionalRequestConflict", "OperationAborted":
		return sdk.Errorf(sdk.Unavailable, "somebody else is writing it at this moment")
	case "InvalidAccessKeyId":
		return sdk.Errorf(sdk.Denied, "the store does not know the access key: check access_key_id, AWS_ACCESS_KEY_ID or the profile, and whether the endpoint is that of the right store")
	case "SignatureDoesNotMatch":
		return sdk.Errorf(sdk.Denied, "the secret does not belong to the access key: check secret_access_key, AWS_SECRET_ACCESS_KEY or the profile")
	case "ExpiredToken", "TokenRefreshRequired", "RequestExpired", "ExpiredTokenException":
		return sdk.Errorf(sdk.Denied, "the session token has expired: renew the temporary credentials")
	case "InvalidToken", "InvalidTokenId", "InvalidClientTokenId":
		return sdk.Errorf(sdk.Denied, "the session token is not valid: check session_token or AWS_SESSION_TOKEN, and that it belongs to the access key")
	case "RequestTimeTooSkewed":
		return sdk.Errorf(sdk.Denied, "the clock of this host is wrong by more than 15 minutes: set it")
	case "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem", "UnauthorizedAccess":
		return sdk.Errorf(sdk.Denied, "the credentials may not do this (%s): allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload for the objects and s3:ListBucket for the bucket%s", code, quoted(said))
	case "InvalidObjectState":
		return sdk.Errorf(sdk.Invalid, "it is in an archive class: restore it there first, and try again when that is done")
	case "BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody":
		return sdk.Errorf(sdk.Unavailable, "the bytes were damaged on the way to the store (%s)", code)
	case "RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequests", "ServerBusy":
		return sdk.Errorf(sdk.Unavailable, "the store cannot now (%s)%s", code, quoted(said))
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect":
		return sdk.Errorf(sdk.Invalid, "the bucket is in another region than %q: set region%s", s.client.Options().Region, quoted(said))
	case "KMS.DisabledException", "KMS.NotFoundException", "KMS.KMSInvalidStateException", "KMS.InvalidStateException":
		return sdk.Errorf(sdk.Denied, "the key for encryption cannot be used (%s): check kms_key_id%s", code, quoted(said))
	}
	if unimplemented(code, said, status) {
		return &sdk.Error{Kind: sdk.Invalid, Err: fmt.Errorf("%w: %s%s", errUnimplemented, code, quoted(said))}
	}
	if status == 0 {
		// Part of an answer that was a success otherwise.
		return sdk.Errorf(sdk.Unknown, "the store says %s%s", code, quoted(said))
	}
	return sdk.Errorf(bucket.KindOfStatus(status), "the store answers with status %d, %s%s", status, code, quoted(said))
}

// quoted is what the store said, in one line.
func quoted(said string) string {
	if said == "" {
		return ""
	}
	said = strings.Join(strings.Fields(said), " ")
	return ": " + said[:min(len(said), 300)]
}

// credentialFault is the error when there are no credentials to sign with.
func (s *store) credentialFault(err error) error {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return sdk.Errorf(sdk.Denied, "the credentials could not be had: %s%s; check the role and the token", refused.ErrorCode(), quoted(refused.ErrorMessage()))
	}
	// The last of the chain is the instance, which answers nowhere but on Amazon's.
	if strings.Contains(err.Error(), "ec2imds") || strings.Contains(err.Error(), "no EC2 IMDS role") {
		return sdk.Errorf(sdk.Denied, "there are no credentials: set access_key_id and secret_access_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the instance or pod a role")
	}
	if network := bucket.Network(err); networkCaused(err) {
		return network
	}
	return sdk.Errorf(sdk.Denied, "the credentials could not be had: %w", err)
}

// networkCaused tells whether a request that was for credentials got no answer.
func networkCaused(err error) bool {
	var sending *smithyhttp.RequestSendError
	return errors.As(err, &sending)
}

// regionOf is the region that the store says the bucket is in, if that is not the one
// it was asked in.
func (s *store) regionOf(answer *smithyhttp.ResponseError, refused smithy.APIError) string {
	if answer == nil || answer.Response == nil {
		return ""
	}
	switch status := answer.HTTPStatusCode(); {
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, refused.ErrorCode() == "AuthorizationHeaderMalformed":
	default:
		return ""
	}
	region := answer.Response.Header.Get("X-Amz-Bucket-Region")
	used := s.client.Options().Region
	if other := s.region.Load(); other != nil {
		used = *other
	}
	if region == used {
		return ""
	}
	return region
}

// elsewhere takes the bucket's region from the store if nobody set another one.
func (s *store) elsewhere(region string) error {
	if !s.anyRegion {
		return sdk.Errorf(sdk.Invalid, "the bucket is in the region %q: set region, or AWS_REGION, to that", region)
	}
	s.region.Store(&region)
	return sdk.Errorf(sdk.Unavailable, "the bucket is in the region %q", region)
}

// errUnimplemented is of a store that does not know something about a request.
var errUnimplemented = errors.New("the store does not know how to")

// unimplemented tells whether a store says so. Not all of them have a code for it.
func unimplemented(code, said string, status int) bool {
	said = strings.ToLower(said)
	return code == "NotImplemented" || status == http.StatusNotImplemented ||
		status == http.StatusBadRequest && (strings.Contains(said, "if-none-match") || strings.Contains(said, "checksum-type") ||
			strings.Contains(said, "checksum-algorithm") || strings.Contains(said, "x-amz-checksum") || strings.Contains(said, "unsigned-payload"))
}

// impossible tells whether a store says that it cannot have an object of this name,
// which MinIO does of some.
func impossible(err error) bool {
	var refused smithy.APIError
	return errors.As(err, &refused) && refused.ErrorCode() == "XMinioInvalidObjectName"
}

// ours tells whether a bucket could not be made because we have it.
func ours(err error) bool {
	var owned *types.BucketAlreadyOwnedByYou
	return errors.As(err, &owned)
}
