package main

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// fault gives an error a kind, and a text that says what to do. The library's texts
// may show the URL of an upload, which is as good as a password for it.
func (s *store) fault(err error) error {
	var classified *sdk.Error
	var answer *googleapi.Error
	var token *auth.Error
	switch {
	case err == nil || errors.As(err, &classified):
		return err
	case errors.Is(err, storage.ErrBucketNotExist):
		return s.noBucket()
	case errors.Is(err, storage.ErrObjectNotExist):
		return sdk.Errorf(sdk.NotFound, "it does not exist")
	case errors.As(err, &answer):
		return s.refusal(answer)
	case errors.As(err, &token):
		return tokenFault(token)
	}
	return bucket.Network(err)
}

func (s *store) noBucket() error {
	return sdk.Errorf(sdk.NotFound, "%w: create the bucket %q, or check the URL", bucket.ErrNoBucket, s.place.bucket)
}

// tokenFault is the error when no token was given out.
func tokenFault(err *auth.Error) error {
	if err.Response != nil && bucket.KindOfStatus(err.Response.StatusCode) != sdk.Unavailable {
		return sdk.Errorf(sdk.Denied, "Google does not accept the credentials (status %d): check that the service account exists, that its key was not revoked, and that the clock of this host is right", err.Response.StatusCode)
	}
	return sdk.Errorf(sdk.Unavailable, "Google gives out no token now: %w", err)
}

// refusal is the error for an answer other than success.
func (s *store) refusal(answer *googleapi.Error) error {
	said := oneLine(cmp.Or(answer.Message, answer.Body))
	switch {
	case answer.Code == http.StatusNotFound && strings.Contains(strings.ToLower(said), "bucket"):
		return s.noBucket()
	case answer.Code == http.StatusNotFound:
		return sdk.Errorf(sdk.NotFound, "it does not exist")
	case answer.Code == http.StatusPreconditionFailed:
		return sdk.Errorf(sdk.Exists, "it exists already")
	case answer.Code == http.StatusUnauthorized:
		return sdk.Errorf(sdk.Denied, "the store does not accept the credentials: %s", said)
	case answer.Code == http.StatusForbidden && strings.Contains(said, "retention"), answer.Code == http.StatusForbidden && strings.Contains(said, " hold"):
		return sdk.Errorf(sdk.Denied, "a retention policy, or a hold, forbids it until it ends: %s", said)
	case answer.Code == http.StatusForbidden:
		return sdk.Errorf(sdk.Denied, "the credentials may not do this: give the account the role Storage Object User for the bucket %q: %s", s.place.bucket, said)
	case answer.Code == http.StatusRequestedRangeNotSatisfiable:
		return sdk.Errorf(sdk.Corrupt, "it is shorter than it was")
	case answer.Code == http.StatusBadRequest && strings.Contains(strings.ToLower(said), "crc32c"):
		return sdk.Errorf(sdk.Unavailable, "the bytes were damaged on the way to the store")
	}
	return sdk.Errorf(bucket.KindOfStatus(answer.Code), "the store answers with status %d: %s", answer.Code, said)
}

// oneLine is the first line of what a store says, and not all of a long one.
func oneLine(text string) string {
	const longest = 300
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(first) > longest {
		first = strings.ToValidUTF8(first[:longest], "") + "…"
	}
	return cmp.Or(first, "no reason given")
}

// answered turns an answer that is no success into an error, for requests that are
// made without the library.
func (s *store) answered(answer *http.Response) error {
	return s.fault(googleapi.CheckResponse(answer))
}

// discard reads the rest of an answer, so that its connection is used again. It is
// of no use otherwise, nor is an error in it.
func discard(answer *http.Response) {
	const longest = 64 << 10
	_, _ = io.CopyN(io.Discard, answer.Body, longest)
	_ = answer.Body.Close()
}
