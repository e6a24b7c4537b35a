package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Kind is what sort of problem something is.
type Kind string

// The kinds of problems.
const (
	Missing    Kind = "missing"    // a file, object or WAL segment is not there
	Extra      Kind = "extra"      // a file is there that the backup does not have
	Size       Kind = "size"       // a file has another size
	Checksum   Kind = "checksum"   // a file has another content
	Damaged    Kind = "damaged"    // the manifest, an archive or a WAL segment makes no sense
	Unreadable Kind = "unreadable" // a file cannot be read
)

// Problem is one thing that is wrong with a backup.
type Problem struct {
	Kind Kind `json:"kind"`
	// File is the path below the data directory, as the manifest has it; of an
	// archive, and of what only the receipts know, the object's name in the store;
	// the name of a WAL segment.
	File string `json:"file"`
	// Object is the name in the store of the object that is damaged, if that is
	// known.
	Object string `json:"object,omitempty"`
	// Text is what is wrong with the file.
	Text string `json:"problem"`
}

// String is the problem in one line.
func (p Problem) String() string { return printable(p.File) + ": " + p.Text }

// printable is a name as it is, unless it would not show as what it is.
func printable(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// mostProblems bounds what is kept of a backup that is not there any more.
const mostProblems = 10_000

// problems collects what several goroutines find.
type problems struct {
	mu    sync.Mutex
	found []Problem
	more  int // those beyond mostProblems
}

func (p *problems) add(kind Kind, file, object, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.found) >= mostProblems {
		p.more++
		return
	}
	p.found = append(p.found, Problem{Kind: kind, File: file, Object: object, Text: fmt.Sprintf(format, args...)})
}

// sorted are the problems in the order of the files' names.
func (p *problems) sorted() []Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.found, func(a, b Problem) int { return cmp.Compare(a.File, b.File) })
	return p.found
}

func (p *problems) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.found) + p.more
}
