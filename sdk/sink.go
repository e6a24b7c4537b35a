package sdk

import (
	"context"
	"io"
	"iter"
)

// Sink stores objects and gives them back.
//
// All methods may be called from several goroutines at once. Nothing is
// visible under its name before it is complete.
type Sink interface {
	// Put stores an object. r is read to EOF; it is nil for kinds without bytes.
	//
	// Effect: when it returns nil the object is complete, and visible under its
	// name at the latest after the next Flush; it is acknowledged to the
	// emitter only after a Flush that began later returned nil. Exists: an
	// object of that name is an error of kind Exists, and stays as it is, unless
	// o.Replace is set. Cancel: when ctx ends or r fails nothing is visible and
	// nothing is left behind.
	Put(ctx context.Context, o Object, r io.Reader) (Receipt, error)
	// Flush makes durable, and visible, everything whose Put returned before
	// Flush was called. A sink whose Put is durable returns nil.
	Flush(ctx context.Context) error
	// Get opens an object. The caller closes the reader. A missing object is an
	// error of kind NotFound, at once and not at the first read.
	Get(ctx context.Context, name string) (Object, io.ReadCloser, error)
	// List yields the objects whose names begin with prefix in ascending order
	// of their names, objects without bytes included. An error ends the list.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes objects durably. A missing object is no error. After an error
	// any of them may be gone.
	Delete(ctx context.Context, names []string) error
}
