// Command barman-plugin-sink-posix is the sink "posix": it stores objects as
// files below a directory, or, as the target of a recovery, unpacks them.
//
// # Storing
//
// Put writes an object to a hidden temporary file in the directory where it
// belongs. Flush commits all objects put so far as a group: their data is
// made durable, then they are renamed to their names, then the directories are
// made durable. A crash at any point leaves complete objects and temporary
// files that nobody lists and the next run removes.
//
// # Unpacking
//
// A recovery's target is not usable before the whole recovery is complete, so
// files are written under their final names, and only made durable by Flush.
//
// # Trust
//
// Names come from outside. They are resolved one component at a time from an
// open directory, and a symbolic link on the way is an error: nothing outside
// the root is ever read or written.
package main
