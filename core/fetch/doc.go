// Package fetch gets WAL files out of barman one by one, for a PostgreSQL that
// recovers.
//
// A file is looked for in the archive, in the directory that archive_command
// delivers into, in the one that WAL is received into, and, when the unfinished
// segment will do, under its name there; then in the archive again. Files move
// in one direction only, from where they arrive into the archive, so whatever
// moves during the search is met at one place or the other: that a file is not
// found is proven. Of several copies of the unfinished segment the one that leads
// furthest is taken.
//
// What the archive keeps on this machine is read without any plugin when it is
// recognised: plain, or in one of the formats of sdk/codec. The rest, encrypted
// by a third party's transform or in a store elsewhere, comes through the server's
// WAL pipeline, sink → transforms reversed.
//
// The last bytes are handed on only after all have been checked, so that whoever
// overlooks the exit code has a file that is too short for PostgreSQL.
package fetch
