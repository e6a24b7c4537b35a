package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// Provider is a kind of store, by its name in --cloud-provider.
type Provider string

// The providers there are.
const (
	S3    Provider = "aws-s3"
	Azure Provider = "azure-blob-storage"
	GCS   Provider = "google-cloud-storage"
)

// Bucket is a new, empty bucket (on Azure: container), and how to get at it from outside.
type Bucket struct {
	Provider Provider
	Name     string
	URL      string // as the commands take it, without a path

	// Endpoint is the URL of the store itself: --endpoint-url of an S3 store. A plugin's setting of the same name takes it.
	Endpoint string

	// Env is the environment that lets a command in: credentials, region, and where the emulator is. Each is NAME=value.
	Env []string

	t     testing.TB
	store objects
}

// objects is how tests look into a store, and change what is there.
type objects interface {
	create(bucket string) error
	put(bucket, key string, content []byte) error
	get(bucket, key string) ([]byte, error)
	list(bucket, prefix string) ([]string, error)
	delete(bucket, key string) error
}

// made counts the buckets of this process, for their names.
var made atomic.Int64

// New makes a bucket at a provider.
func New(t testing.TB, p Provider) *Bucket {
	t.Helper()
	switch p {
	case S3:
		return NewS3(t)
	case Azure:
		return NewAzure(t)
	case GCS:
		return NewGCS(t)
	}
	t.Fatalf("there is no provider %q", p)
	return nil
}

// open makes the bucket that b describes.
func open(t testing.TB, b *Bucket) *Bucket {
	t.Helper()
	b.t = t
	if err := b.store.create(b.Name); err != nil {
		t.Fatalf("making %s: %v", b.URL, err)
	}
	return b
}

// newName is a name that no bucket of this process has.
func newName() string { return fmt.Sprintf("barman-test-%d", made.Add(1)) }

// In is the bucket for the use of a subtest.
func (b *Bucket) In(t testing.TB) *Bucket {
	in := *b
	in.t = t
	return &in
}

// Var is the value of a variable of Env, the last if it is there twice; none if it is not there.
func (b *Bucket) Var(name string) string {
	for _, v := range slices.Backward(b.Env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// Put stores an object.
func (b *Bucket) Put(key string, content []byte) {
	b.t.Helper()
	if err := b.store.put(b.Name, key, content); err != nil {
		b.t.Fatalf("storing %s in %s: %v", key, b.URL, err)
	}
}

// Read returns an object's bytes.
func (b *Bucket) Read(key string) []byte {
	b.t.Helper()
	content, err := b.store.get(b.Name, key)
	if err != nil {
		b.t.Fatalf("reading %s of %s: %v", key, b.URL, err)
	}
	return content
}

// Keys are the keys that begin with a prefix, sorted.
func (b *Bucket) Keys(prefix string) []string {
	b.t.Helper()
	keys, err := b.store.list(b.Name, prefix)
	if err != nil {
		b.t.Fatalf("listing %s: %v", b.URL, err)
	}
	return keys
}

// Delete removes objects.
func (b *Bucket) Delete(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		if err := b.store.delete(b.Name, key); err != nil {
			b.t.Fatalf("deleting %s of %s: %v", key, b.URL, err)
		}
	}
}
