// Package files names the files of a backup and of the WAL that belongs to it,
// for programs that carry them elsewhere.
package files
