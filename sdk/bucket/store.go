package bucket

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrNoBucket tells that the bucket itself does not exist. A Store wraps it in an
// error of kind NotFound.
var ErrNoBucket = errors.New("the bucket does not exist")

// Store is a provider's bucket. All methods may be called from several
// goroutines at once.
//
// A method is one attempt: it does not try again, and its client's library must be
// told not to. The package tries again what failed with kind Unavailable. Errors
// are of the kinds in the package's documentation; they say what the store
// said and what to do about it, the package adds the bucket and the key. Keys are
// complete. A CRC-32C is of the Castagnoli polynomial; a store that can check it
// does, and a store whose own checksum is another makes that from the bytes.
type Store interface {
	// Put stores an object in one request. It is complete and durable when Put
	// returns nil; otherwise it is unchanged, or complete if the answer got lost.
	// With ifAbsent an object that exists is an error of kind Exists and stays: in
	// one step where the store can, else asked for before. body is not touched
	// after Put returned.
	Put(ctx context.Context, key string, body []byte, crc32c uint32, ifAbsent bool) error
	// Begin begins an upload in parts. The object is invisible until Complete.
	Begin(ctx context.Context, key string, ifAbsent bool) (Upload, error)
	// Get opens an object, or length bytes of it from offset; length 0 means to
	// its end. Offset and length lie within the object. The attributes are those of
	// the whole object. With an etag an object that has another one by now is an
	// error of kind Corrupt. The reader ends with an error if the answer is cut
	// short; it need not check a checksum. A missing object is NotFound.
	Get(ctx context.Context, key, etag string, offset, length int64) (Attributes, io.ReadCloser, error)
	// Head returns the attributes of an object. A missing object is NotFound.
	Head(ctx context.Context, key string) (Attributes, error)
	// List returns one page of the objects whose keys begin with prefix, in ascending
	// order of the bytes of their keys: those behind the key after, all if that is
	// empty. more tells whether there are others behind the page. Only Key, Size and
	// Modified need be set. One request.
	List(ctx context.Context, prefix, after string) (page []Attributes, more bool, err error)
	// Delete removes objects, at most Limits.Delete of them. Missing ones are no
	// error. After an error any of them may be gone.
	Delete(ctx context.Context, keys []string) error
	// Sweep aborts uploads that were begun before a moment, of keys that begin with
	// prefix, and never completed. A store that forgets them by itself returns nil.
	Sweep(ctx context.Context, prefix string, before time.Time) error
	// CreateBucket makes the bucket. One that exists and is ours is no error.
	CreateBucket(ctx context.Context) error
	// Limits tells what the store can take. It costs no request.
	Limits() Limits
}

// Upload is an upload in parts.
type Upload interface {
	// Part stores one part; number counts from 1. Several may be stored at once
	// unless Limits.Ordered. The same part may be stored again after an error. All
	// but the last have at least Limits.MinPart bytes, and Limits.Ordered ones a
	// multiple of it. last tells that no other follows; where parts are stored side by
	// side it need not be the last to be stored. body is not touched after Part
	// returned.
	Part(ctx context.Context, number int, body []byte, crc32c uint32, last bool) error
	// Complete makes the object visible and durable; its size and its checksum are
	// those of all parts one after the other. It may be called again after an error.
	// With the ifAbsent of Begin an object that exists by now is an error of kind
	// Exists. An upload that is unknown is one of kind NotFound: it was completed or
	// aborted.
	Complete(ctx context.Context, size int64, crc32c uint32) error
	// Abort forgets the upload. One that is gone is no error.
	Abort(ctx context.Context) error
}

// Attributes are what a store knows of an object.
type Attributes struct {
	Key  string
	Size int64
	// Modified is when it was stored.
	Modified time.Time
	// ETag identifies this content under this key: an etag, a generation. It is
	// what Get takes.
	ETag string
	// CRC32C is the checksum of all bytes of the object, where HasCRC32C.
	CRC32C    uint32
	HasCRC32C bool
}

// Limits is what a store can take.
type Limits struct {
	// MinPart and MaxPart are the fewest and the most bytes of a part, MaxParts is
	// the most parts of an object.
	MinPart, MaxPart int64
	MaxParts         int
	// MaxObject is the most bytes of an object; 0 for as many as the parts hold.
	MaxObject int64
	// Delete is how many keys one request deletes at most.
	Delete int
	// Ordered tells that parts are stored one after the other, in order.
	Ordered bool
}
