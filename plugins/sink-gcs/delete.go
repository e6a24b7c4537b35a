package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// Delete deletes objects, several in one request. Missing ones are no error.
func (s *store) Delete(ctx context.Context, keys []string) error {
	if len(keys) == 1 {
		return forgiveMissing(s.fault(s.bucket.Object(keys[0]).Delete(ctx)))
	}
	body, kind, err := s.batch(keys)
	if err != nil {
		return err
	}
	answer, err := s.send(ctx, http.MethodPost, s.endpoint+"/batch/storage/v1", body, http.Header{"Content-Type": {kind}})
	if err != nil {
		return err
	}
	defer discard(answer)
	if err := s.answered(answer); err != nil {
		return err
	}
	return s.deletions(answer, len(keys))
}

// batch writes requests that delete objects into one ("Batch requests" in Google's
// documentation).
func (s *store) batch(keys []string) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	for i, key := range keys {
		part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-Id": {fmt.Sprintf("<%d>", i+1)}})
		if err != nil {
			return nil, "", err
		}
		if _, err := fmt.Fprintf(part, "DELETE /storage/v1/b/%s/o/%s HTTP/1.1\r\n\r\n", url.PathEscape(s.place.bucket), url.PathEscape(key)); err != nil {
			return nil, "", err
		}
	}
	err = parts.Close()
	return b.Bytes(), "multipart/mixed; boundary=" + parts.Boundary(), err
}

// deletions reads the answers in the answer to a batch. All are looked at: one that is
// missing is a deletion that may not have happened.
func (s *store) deletions(answer *http.Response, wanted int) error {
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "the store answers a batch of deletions with something else")
	}
	parts := multipart.NewReader(answer.Body, parameters["boundary"])
	for got := 0; ; got++ {
		part, err := parts.NextPart()
		if err == io.EOF && got == wanted {
			return nil
		}
		if err != nil {
			return bucket.Network(err)
		}
		one, err := http.ReadResponse(bufio.NewReader(part), nil)
		if err != nil {
			return bucket.Network(err)
		}
		err = forgiveMissing(s.answered(one))
		_ = one.Body.Close() // it is in memory
		if err != nil {
			return err
		}
	}
}

func forgiveMissing(err error) error {
	if sdk.KindOf(err) == sdk.NotFound && !errors.Is(err, bucket.ErrNoBucket) {
		return nil
	}
	return err
}
