// Package recovery restores a backup into a directory from which PostgreSQL can
// be started, and prepares it to recover to a target.
//
// From the first byte to the last the destination holds a postmaster.pid that no
// PostgreSQL starts beside, and that tells what is going on. It is removed when
// everything is durable. A recovery that was killed thus can't be taken for a
// complete one, and the next one into the same place clears what it left.
package recovery
