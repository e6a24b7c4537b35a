package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// fault gives an error a kind, and a text that says what to do and shows nothing
// secret: the library's own would show the signature of a URL.
func (s *store) fault(err error) error {
	var classified *sdk.Error
	var answer *azcore.ResponseError
	var login *azidentity.AuthenticationFailedError
	// What azidentity calls so: no credential is set up, or none may be sent.
	var final interface{ NonRetriable() }
	switch {
	case err == nil || errors.As(err, &classified):
		return err
	case errors.As(err, &login):
		return s.loginFault(login)
	case errors.As(err, &answer):
		return s.refusal(answer)
	case errors.As(err, &final):
		return sdk.Errorf(sdk.Denied, "%s cannot be used: %s; set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY, or the setting credential", s.login.source, oneLine(err.Error()))
	}
	return bucket.Network(err)
}

// loginFault is the error when no token was given out.
func (s *store) loginFault(err *azidentity.AuthenticationFailedError) error {
	if answer := err.RawResponse; answer != nil {
		if bucket.KindOfStatus(answer.StatusCode) == sdk.Unavailable {
			return sdk.Errorf(sdk.Unavailable, "Microsoft Entra gives out no token now (status %d)", answer.StatusCode)
		}
		return sdk.Errorf(sdk.Denied, "Microsoft Entra gives out no token for %s (status %d): check AZURE_CLIENT_ID, AZURE_TENANT_ID and the secret, certificate or identity that belongs to them, or set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY", s.login.source, answer.StatusCode)
	}
	return sdk.Errorf(sdk.Denied, "no token for %s: %s", s.login.source, oneLine(err.Error()))
}

// refusal is the error for an answer other than success.
func (s *store) refusal(answer *azcore.ResponseError) error {
	said := answer.ErrorCode
	if message := messageOf(answer); message != "" {
		said = strings.TrimPrefix(said+": "+message, ": ")
	}
	switch code := bloberror.Code(answer.ErrorCode); code {
	case bloberror.ContainerNotFound, bloberror.ContainerDisabled, bloberror.ContainerBeingDeleted:
		return sdk.Errorf(sdk.NotFound, "%w (%s): create the container %q, or check the URL", bucket.ErrNoBucket, code, s.place.container)
	case bloberror.BlobNotFound, bloberror.ResourceNotFound:
		return sdk.Errorf(sdk.NotFound, "it does not exist")
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.TargetConditionNotMet, bloberror.UnauthorizedBlobOverwrite:
		return sdk.Errorf(sdk.Exists, "it exists already")
	case bloberror.BlobImmutableDueToPolicy:
		return sdk.Errorf(sdk.Denied, "a policy of immutability, or a legal hold, forbids it until it ends")
	case bloberror.SnapshotsPresent:
		return sdk.Errorf(sdk.Denied, "it has snapshots: delete them first")
	case bloberror.BlobArchived, bloberror.BlobBeingRehydrated:
		return sdk.Errorf(sdk.Denied, "it is in the access tier Archive: move it to Hot or Cool, and try again when that is done")
	case bloberror.InvalidBlockList:
		return sdk.Errorf(sdk.NotFound, "its blocks are gone: another upload of the same name was completed, or this one is more than a week old")
	case bloberror.AuthenticationFailed, bloberror.InvalidAuthenticationInfo, bloberror.NoAuthenticationInformation:
		return sdk.Errorf(sdk.Denied, "the storage account %q does not accept %s: check that it belongs to this account, has not expired, and that the clock of this host is right (%s)", s.place.account, s.login.source, code)
	case bloberror.AuthorizationFailure, bloberror.AuthorizationPermissionMismatch, bloberror.InsufficientAccountPermissions,
		bloberror.AuthorizationProtocolMismatch, bloberror.AuthorizationResourceTypeMismatch, bloberror.AuthorizationServiceMismatch, bloberror.AuthorizationSourceIPMismatch:
		return sdk.Errorf(sdk.Denied, "%s may not do this: give it the role Storage Blob Data Contributor for the container, or a SAS token the permissions to read, create, write, delete and list, and see the firewall of the account (%s)", s.login.source, code)
	case bloberror.MD5Mismatch, bloberror.CRC64Mismatch:
		return damaged
	case bloberror.InvalidRange:
		return sdk.Errorf(sdk.Corrupt, "it is shorter than it was")
	}
	if strings.Contains(said, "contentMD5 doesn't match") {
		return damaged // Azurite has no code of its own for it
	}
	return sdk.Errorf(bucket.KindOfStatus(answer.StatusCode), "the store answers with status %d: %s", answer.StatusCode, oneLine(said))
}

// damaged is of a kind that is tried again.
var damaged = sdk.Errorf(sdk.Unavailable, "the bytes were damaged on the way to the store")

// messageOf is the first line of what an answer says to people.
func messageOf(answer *azcore.ResponseError) string {
	if answer.RawResponse == nil {
		return ""
	}
	const longest = 64 << 10
	body, err := runtime.Payload(answer.RawResponse)
	if err != nil {
		return ""
	}
	var said struct{ Message string }
	if err := xml.NewDecoder(io.LimitReader(bytes.NewReader(body), longest)).Decode(&said); err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(said.Message), "\n")
	return first
}
