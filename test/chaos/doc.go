// Package chaos runs a command and lets exactly one of its system calls fail,
// or be the last one: the harness behind the rule that one fault never loses
// data silently.
//
// The command and all that it starts are traced with ptrace. A seccomp filter
// stops them at the calls of interest only, so that a run takes hardly longer
// than without. A call is known by a Point: the program that makes it, its name,
// the file it is about with all that changes from run to run taken out, and the
// how-manieth such call it is. Points are the same from run to run even though
// threads and processes race, which counting calls by thread, as "strace -e
// inject=…:when=K" does, is not: with it, one K is a fault in every thread, and
// another one in each run.
//
// A fault-free run yields the points; then each of them is taken in turn. "make
// chaos" takes all of them, but of those that differ in numbers alone, such as
// the files of a thousand relations, only a few; BARMAN_CHAOS=every leaves none
// out, for a day or so. "make test" takes a sample of about ten seconds for each
// command. BARMAN_CHAOS=5m makes the samples larger, BARMAN_CHAOS_SEED=2 chooses
// others, BARMAN_CHAOS_ONLY='^barman: rename ' repeats what failed. Each
// scenario's log tells how many points there were and how many were reached.
package chaos
