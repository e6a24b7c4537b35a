// Package manifest reads and writes PostgreSQL's backup manifests: the list of a
// backup's files with their checksums, and of the WAL that it needs (PostgreSQL
// manual, "Backup Manifest Format").
//
// A manifest may have millions of files, and may have been damaged or made up:
// it is read as a stream, in memory that does not depend on its length, and what
// is impossible is refused. Its paths are names to compare with, nothing is ever
// opened by them.
package manifest
