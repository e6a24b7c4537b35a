// Package replication connects plugins to PostgreSQL's streaming replication
// protocol (PostgreSQL manual, section 55.4), for PostgreSQL 10 and later.
//
// A Conn answers short commands. One long command, such as BASE_BACKUP or
// START_REPLICATION, turns it into a Stream: the messages of the connection,
// read from one buffer of fixed size however large they are. Errors are those
// of package sdk, with a kind and with what to do; they never hold a password.
package replication
