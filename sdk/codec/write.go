package codec

import (
	"io"

	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// NewWriter returns a writer that compresses to w, on one core. Close ends the
// stream, which is not complete before, and leaves w open. An unknown name is an
// error of kind Invalid.
func NewWriter(name string, level Level, w io.Writer) (io.WriteCloser, error) {
	n := level.Number(name)
	switch name {
	case Gzip, Pigz:
		return gzip.NewWriterLevel(w, n)
	case Bzip2:
		return bzip2.NewWriter(w, &bzip2.WriterConfig{Level: n})
	case XZ:
		return xz.WriterConfig{DictCap: xzDictionary(n), CheckSum: xz.CRC32}.NewWriter(w)
	case LZ4:
		l := lz4.NewWriter(w)
		err := l.Apply(lz4.CompressionLevelOption(level.LZ4()), lz4.BlockSizeOption(lz4.Block256Kb), lz4.ConcurrencyOption(1))
		return l, err
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(n)), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	case Snappy:
		return &snappyWriter{w: s2.NewWriter(w, s2.WriterSnappyCompat(), s2.WriterBlockSize(snappyBlock), s2.WriterConcurrency(1)), to: w, empty: true}, nil
	}
	return nil, unknown(name)
}

// xzDictionary returns the size of the dictionary that "xz -LEVEL" uses.
func xzDictionary(level int) int {
	switch level {
	case 0:
		return 256 << 10
	case 1, 2:
		return level << 20
	case 3, 4:
		return 4 << 20
	}
	return 8 << 20 << (max(level, 6) - 6)
}

// snappyWriter makes of nothing a stream without content, which the library
// leaves out.
type snappyWriter struct {
	w     *s2.Writer
	to    io.Writer
	empty bool
}

func (s *snappyWriter) Write(p []byte) (int, error) {
	s.empty = s.empty && len(p) == 0
	return s.w.Write(p)
}

func (s *snappyWriter) Close() error {
	if s.empty {
		if _, err := io.WriteString(s.to, snappyIdentifier); err != nil {
			return err
		}
	}
	return s.w.Close()
}
