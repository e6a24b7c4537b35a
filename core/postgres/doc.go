// Package postgres talks to the PostgreSQL servers that are backed up: facts
// about them, privileges, WAL switches, restore points, replication slots and
// the health checks built from these. It is the only importer of pgx and
// pglogrepl within core. PostgreSQL 10 to 18.
//
// There are two kinds of connection, as in the configuration: a management
// connection (Conn, from conninfo) speaks SQL, a streaming connection
// (Replication, from streaming_conninfo) the replication protocol. Both are for
// one goroutine at a time.
//
// Every error has an sdk kind where one fits, names the connection it happened
// on (never a password) and says what to do next.
package postgres
