package main

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// What is logged of a script's output: so much of a line, and so many lines of
// a run.
const (
	maxLine  = 4 << 10
	maxLines = 1000
)

// output logs what is written to it, line by line, and forgets what is too
// much.
type output struct {
	log     hclog.Logger
	line    []byte
	lines   int
	dropped int64 // bytes
}

// Write takes all of p, whatever becomes of it: a full pipe would stop the
// script.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			o.add(p)
			return n, nil
		}
		o.add(p[:end])
		o.flush()
		p = p[end+1:]
	}
}

func (o *output) add(p []byte) {
	room := maxLine - len(o.line)
	if o.lines >= maxLines {
		room = 0
	}
	if len(p) > room {
		o.dropped += int64(len(p) - room)
		p = p[:room]
	}
	o.line = append(o.line, p...)
}

func (o *output) flush() {
	if len(o.line) > 0 {
		o.log.Info(printable(o.line))
		o.lines++
		o.line = o.line[:0]
	}
}

// close logs what came after the last newline.
func (o *output) close() {
	o.flush()
	if o.dropped > 0 {
		o.log.Warn("not all of the hook script's output was logged", "bytes_left_out", o.dropped)
	}
}

// printable keeps a script from writing anything but text into the log.
func printable(line []byte) string {
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(string(line), "?")), " ")
}
