// Package delivery is the form in which WAL files travel from PostgreSQL's host
// to barman's: what barman-wal-archive sends and "barman put-wal" takes in, in
// this program and in Python's.
//
// A delivery is an uncompressed tar stream (POSIX pax, though all formats are
// read). Its members are regular files without a directory, named as PostgreSQL
// names WAL files; their content may be compressed, which the name does not tell.
// One more member, SHA256SUMS or MD5SUMS, lists their checksums as the tools of
// these names do: hexadecimal digits, a blank, an asterisk or another blank, the
// name. It is written last, and read wherever it comes. Every file has a
// checksum, and every checksum a file.
//
// Whoever reads a delivery trusts none of it: names, kinds of members, sizes and
// numbers are bounded, and nothing counts before the end has come.
package delivery
