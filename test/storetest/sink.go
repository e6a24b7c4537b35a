package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// Random are bytes that are the same in each run.
func Random(size int) []byte {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b) // never fails
	return b
}

// Put stores an object whose size is not announced.
func Put(ctx context.Context, s sdk.Sink, name string, content []byte) error {
	_, err := s.Put(ctx, sdk.Object{Name: name, Size: sdk.SizeUnknown}, bytes.NewReader(content))
	return err
}

// Get reads an object to its end.
func Get(ctx context.Context, s sdk.Sink, name string) ([]byte, error) {
	_, r, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// List returns the names of the objects that begin with a prefix, and of those before an error if one ends the list.
func List(ctx context.Context, s sdk.Sink, prefix string) (names []string, err error) {
	for o, err := range s.List(ctx, prefix) {
		if err != nil {
			return names, err
		}
		names = append(names, o.Name)
	}
	return names, nil
}

// WantKind checks that an error is of a kind and mentions the words.
func WantKind(t testing.TB, what string, err error, kind sdk.ErrorKind, words ...string) {
	t.Helper()
	if sdk.KindOf(err) != kind || err == nil {
		t.Errorf("%s: an error of kind %s instead of %s: %v", what, sdk.KindOf(err), kind, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error does not mention %q: %v", what, word, err)
		}
	}
}
