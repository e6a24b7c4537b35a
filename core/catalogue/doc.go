// Package catalogue reads and writes what a server's directory on local disk
// says about its backups and its WAL archive. The layout and the formats are
// those of Barman 3.x in Python: a directory written by either program can be
// listed, checked and restored by the other.
//
// What is read is not trusted: names are validated before they become paths,
// metadata that is a symbolic link is refused, sizes and nesting are bounded,
// and a damaged file is an error of kind sdk.Corrupt that names the file and
// the line, and never hides its neighbours.
//
// Whatever is written appears complete under its name or not at all: temporary
// name, fsync, rename, fsync of the directory. The one file that grows in
// place, xlog.db, is appended to under a lock, and a line torn by a crash is
// repaired by the next append. xlog.db is an index; the truth about the archive
// is the files themselves, and everything a restore depends on is read from
// the directories.
package catalogue
