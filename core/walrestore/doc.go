// Package walrestore is the client's side of recovery: on PostgreSQL's host it
// fetches WAL from a barman on another host, and fetches what PostgreSQL will
// want next before it is asked.
//
// # The spool
//
// WAL that was fetched ahead waits in a directory of its own for each data
// directory, barman host and server. Only this user may enter it. In it are
//
//	000000010000000000000005       a segment, whole and checked
//	000000010000000000000006.part  one that is being fetched
//	wanted                         the name that PostgreSQL asked for last
//	lock                           held (flock) by the prefetcher
//	failed                         when the prefetcher failed last
//	log                            what the last prefetcher had to say
//
// A segment is looked at once more when it is handed out: its first page must be
// that of its name and of the cluster that asks. Nothing in the spool is needed:
// whatever is missing or not right in it is fetched directly.
//
// # The prefetcher
//
// It is a process of the same program, started after a request that was answered,
// in a session of its own, so that it goes on while PostgreSQL replays. It asks
// barman for the segments that follow as one tar archive, over one connection, and
// stops reading while the spool is full: so it is always as far ahead as it may be,
// and a connection is made once for many segments. With a barman that does not
// know this it fetches segment by segment, several at once.
//
// It ends when there is no next segment, when PostgreSQL wants something else, when
// nobody has asked for long, and after any error. kill -9 leaves a file of which
// no name promises anything, or nothing.
package walrestore
