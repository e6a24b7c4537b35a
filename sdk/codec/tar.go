package codec

import "io"

// tarEndSize is the size of the two empty blocks that end a tar archive (POSIX
// pax, "ustar Interchange Format").
const tarEndSize = 2 * 512

// TarEnd looks at what passes by for the end of a tar archive. The tar package
// takes an archive that was cut off between two members, or that is empty, for a
// whole one.
type TarEnd struct {
	r     io.Reader
	count int64 // bytes that came
	zeros int   // bytes of zero that came last
}

// NewTarEnd returns a reader of r, for a tar reader on top of it.
func NewTarEnd(r io.Reader) *TarEnd { return &TarEnd{r: r} }

// Read reads on.
func (e *TarEnd) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	zeros := 0
	for zeros < min(n, tarEndSize) && p[n-1-zeros] == 0 {
		zeros++
	}
	if zeros == n {
		zeros += e.zeros
	}
	e.zeros = zeros
	e.count += int64(n)
	return n, err
}

// Count is how many bytes have been read.
func (e *TarEnd) Count() int64 { return e.count }

// Missing tells, where the archive ended, whether it was cut off there; before is
// the Count where the content of its last member ended.
func (e *TarEnd) Missing(before int64) bool {
	return e.zeros < tarEndSize || e.count-before < tarEndSize
}
