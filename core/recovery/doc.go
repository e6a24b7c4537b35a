// Package recovery restores a backup into a directory from which PostgreSQL can
// be started, and prepares it to recover to a target.
//
// From the first byte to the last the destination holds a postmaster.pid that no
// PostgreSQL starts beside, and that tells what is going on. It is removed when
// everything is durable. A recovery that was killed thus can't be taken for a
// complete one. The next one of the same backup into the same place goes on with
// those of its files that prove to be right; any other clears what it left.
package recovery
