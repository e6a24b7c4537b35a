// Package wal looks after a server's WAL on its way into the archive: it
// receives WAL, and it archives what was received or delivered.
//
// # Archiving
//
// A run takes the finished files of the streaming and incoming directories in
// the order of their names, so that a segment never becomes visible in the
// archive before its predecessor that was there too. What it holds in memory does
// not grow with their number: names are read in windows, and files go in
// batches. While the sinks make one batch durable, and it is recorded, the next
// one is inspected and sent. For each batch the order of effects is
//
//  1. the file is durable in every required sink,
//  2. its line in xlog.db is durable,
//  3. the file is removed from the directory it came from.
//
// A process that is killed in between leaves the file where it was. The next
// run finds it archived already, compares it with what is stored byte by byte,
// adds the line if it is missing, and removes the file. A file whose name is
// archived with another content is kept in the errors directory; nothing in the
// archive is ever overwritten.
//
// A file that may still be written stays where it is until it is complete: a
// segment tells its own size in its first page. A file that can never be right,
// or is of another cluster, goes to the errors directory. No file with content
// is removed unless the archive holds the same bytes.
package wal
