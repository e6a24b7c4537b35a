package reference

import (
	"compress/gzip"
	"context"
	"errors"
	"io"

	"github.com/barman-go/barman/sdk"
)

// NoConfig is for stages without settings.
type NoConfig struct{}

// Rot13 is a transform that rotates letters.
type Rot13 struct{}

// Encode rotates.
func (Rot13) Encode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	return Map(dst, src, rotate)
}

// Decode rotates again.
func (Rot13) Decode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	return Map(dst, src, rotate)
}

// Suffix is ".rot13".
func (Rot13) Suffix() string { return ".rot13" }

func rotate(b byte) byte {
	switch {
	case b >= 'a' && b <= 'z':
		return 'a' + (b-'a'+13)%26
	case b >= 'A' && b <= 'Z':
		return 'A' + (b-'A'+13)%26
	}
	return b
}

// Map copies src to dst byte by byte through f.
func Map(dst io.Writer, src io.Reader, f func(byte) byte) error {
	var table [256]byte
	for i := range table {
		table[i] = f(byte(i))
	}
	buffer := make([]byte, 128<<10)
	for {
		n, err := src.Read(buffer)
		for i, b := range buffer[:n] {
			buffer[i] = table[b]
		}
		if _, err := dst.Write(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Gzip is a transform that knows where its objects end.
type Gzip struct{}

// Encode compresses.
func (Gzip) Encode(_ context.Context, _ sdk.Object, dst io.Writer, src io.Reader) error {
	w, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, src); err != nil {
		return err
	}
	return w.Close()
}

// Decode decompresses.
func (Gzip) Decode(_ context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	r, err := gzip.NewReader(src)
	if err == nil {
		_, err = io.Copy(dst, r)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return sdk.Errorf(sdk.Corrupt, "%s: %w", o.Name, err)
	}
	return err
}

// Suffix is ".gz".
func (Gzip) Suffix() string { return ".gz" }
