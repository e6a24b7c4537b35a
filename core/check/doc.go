// Package check tells whether a server's backups can be relied on: its
// connections, its catalogue, its WAL and its plugins, one row for each thing
// that is looked at. It repairs nothing but missing directories, and archives
// WAL only where none has been archived yet.
package check
