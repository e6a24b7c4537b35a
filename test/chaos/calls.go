//go:build linux && amd64

package chaos

import "golang.org/x/sys/unix"

// How a call names its object.
type argument struct {
	descriptor int // the argument with the descriptor, of the directory if there is a path; -1: the working directory
	path       int // the argument with the path; -1: none
}

type form struct {
	call Call
	argument
}

func on(descriptor int) argument         { return argument{descriptor, -1} }
func at(descriptor, path int) argument   { return argument{descriptor, path} }
func named(path int) argument            { return argument{-1, path} }
func is(call Call, object argument) form { return form{call, object} }

// forms are the calls that are stopped at.
func forms() map[uint64]form {
	return map[uint64]form{
		unix.SYS_OPENAT:          is("open", at(0, 1)),
		unix.SYS_OPEN:            is("open", named(0)),
		unix.SYS_READ:            is("read", on(0)),
		unix.SYS_READV:           is("read", on(0)),
		unix.SYS_PREAD64:         is("read", on(0)),
		unix.SYS_PREADV:          is("read", on(0)),
		unix.SYS_GETDENTS64:      is("readdir", on(0)),
		unix.SYS_WRITE:           is("write", on(0)),
		unix.SYS_WRITEV:          is("write", on(0)),
		unix.SYS_PWRITE64:        is("write", on(0)),
		unix.SYS_PWRITEV:         is("write", on(0)),
		unix.SYS_COPY_FILE_RANGE: is("write", on(2)),
		unix.SYS_SENDFILE:        is("write", on(0)),
		unix.SYS_SPLICE:          is("write", on(2)),
		unix.SYS_FALLOCATE:       is("fallocate", on(0)),
		unix.SYS_FTRUNCATE:       is("truncate", on(0)),
		unix.SYS_TRUNCATE:        is("truncate", named(0)),
		unix.SYS_FSYNC:           is("fsync", on(0)),
		unix.SYS_FDATASYNC:       is("fsync", on(0)),
		unix.SYS_SYNC_FILE_RANGE: is("fsync", on(0)),
		unix.SYS_SYNCFS:          is("fsync", on(0)),
		unix.SYS_RENAME:          is("rename", named(1)),
		unix.SYS_RENAMEAT:        is("rename", at(2, 3)),
		unix.SYS_RENAMEAT2:       is("rename", at(2, 3)),
		unix.SYS_LINK:            is("link", named(1)),
		unix.SYS_LINKAT:          is("link", at(2, 3)),
		unix.SYS_SYMLINK:         is("symlink", named(1)),
		unix.SYS_SYMLINKAT:       is("symlink", at(1, 2)),
		unix.SYS_MKDIR:           is("mkdir", named(0)),
		unix.SYS_MKDIRAT:         is("mkdir", at(0, 1)),
		unix.SYS_UNLINK:          is("unlink", named(0)),
		unix.SYS_RMDIR:           is("unlink", named(0)),
		unix.SYS_UNLINKAT:        is("unlink", at(0, 1)),
		unix.SYS_CHMOD:           is("chmod", named(0)),
		unix.SYS_FCHMOD:          is("chmod", on(0)),
		unix.SYS_FCHMODAT:        is("chmod", at(0, 1)),
		unix.SYS_LCHOWN:          is("chown", named(0)),
		unix.SYS_FCHOWN:          is("chown", on(0)),
		unix.SYS_FCHOWNAT:        is("chown", at(0, 1)),
		unix.SYS_UTIMENSAT:       is("utimes", at(0, 1)),
		unix.SYS_FLOCK:           is("flock", on(0)),
		unix.SYS_SENDMSG:         is("send", on(0)),
		unix.SYS_RECVMSG:         is("receive", on(0)),
		unix.SYS_CONNECT:         is("connect", on(0)),
	}
}
