// Package wal names PostgreSQL's write-ahead log: positions, timelines,
// segments, the files of a WAL archive, timeline history files and the header
// of a segment's first page. It is pure computation on names and bytes, for
// PostgreSQL 10 and later.
package wal
