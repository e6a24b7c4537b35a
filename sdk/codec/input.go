package codec

import "io"

// Input is a reader that remembers why reading it failed. A decoder on top of it
// finds its data damaged or incomplete then, and whoever uses the decoder asks the
// input whether it was.
type Input struct {
	r      io.Reader
	failed error
}

// NewInput returns an input that reads r.
func NewInput(r io.Reader) *Input { return &Input{r: r} }

// Read reads on.
func (i *Input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		i.failed = err
	}
	return n, err
}

// Err is the error with which reading failed; nil if it did not, and at the end.
func (i *Input) Err() error { return i.failed }
