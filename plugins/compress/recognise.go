package main

import (
	"bytes"
	"path"

	"github.com/barman-go/barman/sdk/codec"
)

// recognise returns the codec that content beginning with head was compressed
// with, empty for none. cut tells that head is all there is and ends within
// the codec's magic number.
func (c *Compressor) recognise(head []byte) (name string, cut bool) {
	if n := min(len(head), len(c.magic)); n > 0 && bytes.Equal(head[:n], c.magic[:n]) {
		return codec.Custom, n < len(c.magic)
	}
	if name := codec.Detect(head); name != "" {
		return name, false
	}
	if c.unmarked {
		return codec.Custom, false
	}
	name = codec.DetectCut(head)
	return name, name != ""
}

// magicSize is how many bytes recognise needs to see.
func (c *Compressor) magicSize() int { return max(codec.MagicSize, len(c.magic)) }

// mistakable tells whether Decode would take an object for a compressed one.
func (c *Compressor) mistakable(name string, head []byte) bool {
	by, _ := c.recognise(head)
	return by != "" || hasSuffix(name)
}

// hasSuffix tells whether an object's name says that its content is compressed.
func hasSuffix(name string) bool { return codec.OfSuffix(path.Ext(name)) != "" }
