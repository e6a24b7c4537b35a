package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// upload is a resumable upload. Its parts come one after the other.
type upload struct {
	store *store
	key   string
	// session is the URL that the parts are sent to. Whoever has it can write to the
	// object.
	session string

	// sent and sum are the number and the checksum of the bytes of complete parts.
	sent int64
	sum  uint32
	// made is the object, once the last part is stored.
	made *object
}

// object is what the store says of an object.
type object struct {
	Size       string `json:"size"`
	CRC32C     string `json:"crc32c"`
	Generation string `json:"generation"`
}

// Begin asks for an upload.
func (s *store) Begin(ctx context.Context, key string, ifAbsent bool) (bucket.Upload, error) {
	query := url.Values{"uploadType": {"resumable"}, "name": {key}}
	if ifAbsent {
		query.Set("ifGenerationMatch", "0")
	}
	if s.kmsKey != "" {
		query.Set("kmsKeyName", s.kmsKey)
	}
	described, err := json.Marshal(struct {
		Name         string            `json:"name"`
		ContentType  string            `json:"contentType"`
		StorageClass string            `json:"storageClass,omitempty"`
		Metadata     map[string]string `json:"metadata,omitempty"`
	}{key, contentType, s.class, s.tags.Of(key)})
	if err != nil {
		return nil, err
	}
	to := fmt.Sprintf("%s/upload/storage/v1/b/%s/o?%s", s.endpoint, url.PathEscape(s.place.bucket), query.Encode())
	answer, err := s.send(ctx, http.MethodPost, to, described, http.Header{"Content-Type": {"application/json"}, "X-Upload-Content-Type": {contentType}})
	if err != nil {
		return nil, err
	}
	defer discard(answer)
	if err := s.answered(answer); err != nil {
		return nil, err
	}
	session := answer.Header.Get("Location")
	if session == "" {
		return nil, sdk.Errorf(sdk.Unavailable, "the store does not say where to send the upload")
	}
	return &upload{store: s, key: key, session: session}, nil
}

// send sends a request.
func (s *store) send(ctx context.Context, method, to string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, sdk.Errorf(sdk.Unavailable, "the store names a place for the upload that is no URL")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	answer, err := s.http.Do(request)
	return answer, s.fault(err)
}

// Part sends a part. Bytes that the store has already from an earlier attempt it
// passes over; of what it has not taken the rest is sent again.
func (u *upload) Part(ctx context.Context, _ int, body []byte, _ uint32, last bool) error {
	end := u.sent + int64(len(body))
	sum := crc32.Update(u.sum, castagnoli, body)
	for from := u.sent; ; {
		taken, made, err := u.chunk(ctx, body[from-u.sent:], from, end, sum, last)
		switch {
		case err != nil:
			return err
		case made != nil:
			return u.finish(ctx, made, end, sum)
		case taken < from || taken > end:
			return sdk.Errorf(sdk.Unavailable, "the store has taken %d bytes of the upload, when %d to %d were sent", taken, from, end)
		case taken == end && !last:
			u.sent, u.sum = end, sum
			return nil
		case taken == from:
			return sdk.Errorf(sdk.Unavailable, "the store takes nothing of the upload")
		}
		from = taken
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// statusResume says that an upload is not complete.
const statusResume = http.StatusPermanentRedirect

// chunk sends the bytes from an offset of the object to end, and returns how many of
// the object the store has taken in all, or the object if that was its end.
func (u *upload) chunk(ctx context.Context, body []byte, from, end int64, sum uint32, last bool) (taken int64, made *object, err error) {
	total, header := "*", http.Header{"Content-Type": {contentType}}
	if last {
		total = strconv.FormatInt(end, 10)
		header.Set("X-Goog-Hash", "crc32c="+encodeSum(sum))
	}
	header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", from, end-1, total))
	answer, err := u.store.send(ctx, http.MethodPut, u.session, body, header)
	if err != nil {
		return 0, nil, err
	}
	defer discard(answer)
	switch answer.StatusCode {
	case statusResume:
		return takenOf(answer.Header.Get("Range")), nil, nil
	case http.StatusNotFound, http.StatusGone:
		return 0, nil, sdk.Errorf(sdk.NotFound, "the store has forgotten the upload")
	}
	if err := u.store.answered(answer); err != nil {
		return 0, nil, err
	}
	if !last {
		return 0, nil, sdk.Errorf(sdk.Unavailable, "the store takes a part of the upload for its end")
	}
	made = new(object)
	if err := json.NewDecoder(answer.Body).Decode(made); err != nil {
		return 0, nil, bucket.Network(err)
	}
	return end, made, nil
}

// takenOf reads how many bytes "bytes=0-99" is; none if there is no range.
func takenOf(header string) int64 {
	_, last, _ := strings.Cut(header, "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return 0
	}
	return n + 1
}

// encodeSum writes a CRC-32C as the store does.
func encodeSum(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// finish looks at what the store made of the parts. Something else than what was sent
// must not stay.
func (u *upload) finish(ctx context.Context, made *object, size int64, sum uint32) error {
	u.made = made
	if made.Size == strconv.FormatInt(size, 10) && (made.CRC32C == encodeSum(sum) || made.CRC32C == "") {
		u.sent, u.sum = size, sum
		return nil
	}
	err := sdk.Errorf(sdk.Corrupt, "the store made an object of %s bytes with the checksum %s out of the %d bytes that were sent", made.Size, made.CRC32C, size)
	if removed := u.remove(ctx); removed != nil {
		return fmt.Errorf("%w, and it cannot be removed: %w", err, removed)
	}
	return err
}

// remove removes the object that the upload made, and no other.
func (u *upload) remove(ctx context.Context) error {
	generation, err := strconv.ParseInt(u.made.Generation, 10, 64)
	if err != nil {
		return sdk.Errorf(sdk.Unknown, "the store does not say which object it made")
	}
	err = u.store.bucket.Object(u.key).If(storage.Conditions{GenerationMatch: generation}).Delete(ctx)
	if err = u.store.fault(err); sdk.KindOf(err) == sdk.NotFound || sdk.KindOf(err) == sdk.Exists {
		return nil // it is gone, or replaced
	}
	return err
}

// Complete has nothing left to do: the last part made the object.
func (u *upload) Complete(_ context.Context, size int64, crc32c uint32) error {
	if u.made == nil {
		return sdk.Errorf(sdk.NotFound, "the upload has no last part")
	}
	if u.sent != size || u.sum != crc32c {
		return sdk.Errorf(sdk.Corrupt, "the object has %d bytes with the checksum %08x (CRC-32C), and should have %d with %08x", u.sent, u.sum, size, crc32c)
	}
	return nil
}

// statusCancelled says that an upload is forgotten as it was asked for.
const statusCancelled = 499

// Abort forgets the upload. An object that was made, when it was not wanted any more,
// is removed.
func (u *upload) Abort(ctx context.Context) error {
	if u.made != nil {
		return u.remove(ctx)
	}
	answer, err := u.store.send(ctx, http.MethodDelete, u.session, nil, nil)
	if err != nil {
		return err
	}
	defer discard(answer)
	switch answer.StatusCode {
	case statusCancelled, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return u.store.answered(answer)
}
