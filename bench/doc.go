// Package bench measures barman beside the programs that do the same work, on
// one machine, in turns: A B A B. "make bench" runs it and writes
// docs/benchmarks.md.
package bench
