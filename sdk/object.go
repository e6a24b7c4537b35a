package sdk

import (
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// ObjectKind tells what an object's bytes mean. The values are part of the
// protocol and never change.
type ObjectKind int

const (
	// KindFile is a regular file, or any named sequence of bytes.
	KindFile ObjectKind = iota
	// KindTar is a tar archive of a directory tree (POSIX ustar or pax).
	KindTar
	// KindDirectory is a directory; it has no bytes.
	KindDirectory
	// KindSymlink is a symbolic link; LinkTarget says where to, it has no bytes.
	KindSymlink
)

// SizeUnknown is the Size of an object whose length is not known before it ends.
const SizeUnknown int64 = -1

// Object describes a named byte sequence on its way through a pipeline, or at
// rest in a sink. Its bytes travel beside it as an io.Reader.
type Object struct {
	// Name is the key: a relative, slash-separated path such as
	// "base/20260102T030405/data/base.tar". See ValidName.
	Name string
	// Kind tells what the bytes mean.
	Kind ObjectKind
	// Mode holds permission bits; 0 leaves the choice to the sink.
	Mode fs.FileMode
	// ModTime is the time of the last modification; zero when unknown.
	ModTime time.Time
	// LinkTarget is where a KindSymlink points.
	LinkTarget string
	// Size is the number of bytes, or SizeUnknown. An emitter that states a
	// size and delivers another one has failed.
	Size int64
	// Replace lets a sink replace an object of the same name. Without it a Put
	// on an existing name is an error of kind Exists.
	Replace bool
	// Verbatim keeps transforms from touching the object: its bytes and its name
	// are stored as they are. The manifest of a backup in tar files is one.
	Verbatim bool
}

// Receipt is a sink's word that an object is durable.
type Receipt struct {
	// Name is the key under which the sink stores the object.
	Name string
	// Size is the number of bytes that the sink took from the reader and made
	// durable; the SDK refuses a receipt that differs from what arrived.
	Size int64
	// CRC32C is the checksum (Castagnoli) of those bytes.
	CRC32C uint32
	// SourceName, SourceSize and SourceCRC32C describe the same object as the
	// emitter of the pipeline sent it, before any transform. Sinks leave them
	// alone, the SDK fills them in.
	SourceName   string
	SourceSize   int64
	SourceCRC32C uint32
	// Output is the number, from 0, of the pipeline's sink that stored it; the
	// SDK fills it in.
	Output int
}

// ValidName reports whether name is a usable object name: relative,
// slash-separated, clean, valid UTF-8, without "..", NUL or control characters,
// and at most 4096 bytes long.
func ValidName(name string) bool {
	if name == "" || len(name) > 4096 || name == "." || path.IsAbs(name) || path.Clean(name) != name || !utf8.ValidString(name) {
		return false
	}
	if name == ".." || strings.HasPrefix(name, "../") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
