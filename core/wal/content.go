package wal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Content watches the decompressed bytes of a WAL file go by and tells whether
// they are what the file's name promises: of a segment the first page, which
// knows its position, its timeline and the segment's size, and the length; of the
// text files all of it.
type Content struct {
	// Header is that of a segment's first page; zero before it went by.
	Header wal.PageHeader

	name      wal.Name
	beginning []byte // of a segment, until the header is read; all of a text file
	size      int64
}

// NewContent begins with a file of this name.
func NewContent(name wal.Name) *Content { return &Content{name: name} }

// Size is how many bytes went by.
func (c *Content) Size() int64 { return c.size }

// Missing is how many bytes a segment still needs to have its full size.
func (c *Content) Missing() int64 { return int64(c.Header.SegmentSize) - c.size }

// IsSegment tells whether the file is a segment, finished or not.
func (c *Content) IsSegment() bool {
	return c.name.Kind == wal.KindSegment || c.name.Kind == wal.KindPartial
}

// Write takes the next bytes. The first that cannot be the file's are an error
// of kind Corrupt.
func (c *Content) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	if !c.IsSegment() {
		if c.size > maxText {
			return 0, damaged(fmt.Errorf("it is larger than any %s", c.name.Kind))
		}
		c.beginning = append(c.beginning, p...)
		return len(p), nil
	}
	if c.Header.SegmentSize == 0 {
		c.beginning = append(c.beginning, p[:min(len(p), wal.LongPageHeaderSize-len(c.beginning))]...)
		if len(c.beginning) < wal.LongPageHeaderSize {
			return len(p), nil
		}
		header, err := readHeader(c.beginning)
		if err == nil {
			err = header.CheckName(c.name)
		}
		if err != nil {
			return 0, damaged(err)
		}
		c.Header = header
	}
	if c.size > int64(c.Header.SegmentSize) {
		return 0, damaged(fmt.Errorf("it holds more than the %d bytes of a segment", c.Header.SegmentSize))
	}
	return len(p), nil
}

// Finish tells whether the bytes that went by are the whole file. An unfinished
// segment may be shorter than others. Errors are of kind Corrupt.
func (c *Content) Finish() error {
	switch {
	case c.size == 0:
		return damaged(errors.New("it is empty"))
	case !c.IsSegment():
		if err := examineText(c.name, bytes.NewReader(c.beginning)); err != nil {
			return damaged(err)
		}
	case c.Header.SegmentSize == 0:
		return damaged(fmt.Errorf("it has only %d bytes", c.size))
	case c.name.Kind == wal.KindSegment && c.Missing() > 0:
		return damaged(fmt.Errorf("it has %d bytes, a segment of this cluster %d", c.size, c.Header.SegmentSize))
	}
	return nil
}

func damaged(err error) error { return &sdk.Error{Kind: sdk.Corrupt, Err: err} }
