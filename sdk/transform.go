package sdk

import (
	"context"
	"io"
)

// Transform maps the bytes of an object to other bytes, reversibly:
// Decode(Encode(x)) equals x for every x, the empty one included.
//
// Both methods may be called from several goroutines at once, each call for
// another object. src is read to EOF; neither src nor dst is kept or closed.
// A method that returns nil has written everything. When ctx ends, reads and
// writes fail, and the method returns.
type Transform interface {
	// Encode is used on the way to the store.
	Encode(ctx context.Context, o Object, dst io.Writer, src io.Reader) error
	// Decode is used on the way back.
	Decode(ctx context.Context, o Object, dst io.Writer, src io.Reader) error
	// Suffix is appended to the name of encoded objects, ".zst" for instance,
	// and removed from it on the way back; empty to leave names alone. WAL
	// segments keep their names whatever it says.
	Suffix() string
}
