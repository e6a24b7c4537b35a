package chaos

import (
	"fmt"
	"syscall"
)

// Point is one system call of a run.
type Point struct {
	Program string // base name of the executable
	Call    Call
	// Object is the file, below one of the roots: "home/main/wals/xlog.db", or
	// "socket". Backup IDs and random parts of names are replaced.
	Object string
	Nth    int // 1 for the first call of this name on this object by this program
}

func (p Point) String() string {
	return fmt.Sprintf("%s: %s %s #%d", p.Program, p.Call, p.Object, p.Nth)
}

// Call is the name of a system call, without its variants.
type Call string

func (c Call) effect() Effect {
	switch c {
	case "open", "read", "readdir":
		return Reads
	case "create", "write", "fallocate", "rename", "link", "symlink", "mkdir":
		return Writes
	case "send", "receive", "connect":
		return Exchanges
	}
	return Changes
}

// Effect is what a call does to its object.
type Effect int

// The effects; a fault that makes no sense for one is not tried.
const (
	Reads     Effect = iota // reads from it
	Writes                  // needs room: write, create, rename
	Changes                 // changes it without needing room: fsync, unlink, chmod
	Exchanges               // sends or receives through a socket
)

// Fault is what is done at a point; the zero Fault does nothing.
type Fault struct {
	Errno syscall.Errno // the call is not made and returns this
	Kill  bool          // the process is killed instead of making the call
	Stays bool          // every later call of the run that needs room fails alike: a disk that is full and stays so
}

func (f Fault) String() string {
	switch {
	case f.Kill:
		return "SIGKILL"
	case f.Stays:
		return f.Errno.Error() + " from here on"
	case f.Errno != 0:
		return f.Errno.Error()
	}
	return "nothing"
}

// Faults are those that can happen at a point.
func (p Point) Faults() []Fault {
	kill := Fault{Kill: true}
	eio := Fault{Errno: syscall.EIO}
	switch p.Call.effect() {
	case Reads:
		return []Fault{eio}
	case Exchanges:
		return []Fault{{Errno: syscall.ECONNRESET}, kill}
	case Writes:
		return []Fault{eio, {Errno: syscall.ENOSPC}, {Errno: syscall.ENOSPC, Stays: true}, kill}
	}
	return []Fault{eio, kill}
}
