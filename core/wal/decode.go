package wal

import (
	"bufio"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
)

// magicSize is how many bytes tell the compression of a file.
const magicSize = 10

// maxWindow bounds the memory that a zstd file may ask for; it is what zstd -d
// accepts.
const maxWindow = 128 << 20

// decoded returns a reader of what r holds, decompressed if it begins like a
// compressed file, and the name of the compression. The caller closes the
// reader, which does not close r. xz, which cannot be read here, is an error of
// kind Invalid.
func decoded(r io.Reader) (io.ReadCloser, string, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	// A short file is no error here: whoever reads it sees where it ends.
	beginning, err := buffered.Peek(magicSize)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	compression := catalogue.DetectCompression(beginning)
	switch compression {
	case "":
		return io.NopCloser(buffered), "", nil
	case "gzip":
		d, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, compression, err
		}
		return d, compression, nil
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(buffered)), compression, nil
	case "lz4":
		return io.NopCloser(lz4.NewReader(buffered)), compression, nil
	case "snappy":
		return io.NopCloser(s2.NewReader(buffered, s2.ReaderMaxBlockSize(64<<10))), compression, nil
	case "zstd":
		d, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, compression, err
		}
		return d.IOReadCloser(), compression, nil
	}
	return nil, compression, sdk.Errorf(sdk.Invalid, "files compressed with %s cannot be read", compression)
}
