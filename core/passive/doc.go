// Package passive copies a server's backups and WAL from another Barman, ours or
// one in Python: the primary's end, which tells what there is, and the passive
// node's, which fetches what it lacks with rsync over SSH.
//
// A backup is in the state SYNCING while it is copied, and complete only when
// everything is durable and the primary still has it. A WAL file is never
// overwritten by another of the same name. Whatever is killed goes on with its next
// run.
package passive
