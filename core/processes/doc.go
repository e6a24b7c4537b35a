// Package processes finds the tasks that run for a server, and ends them. A task
// is known by the lock that it holds, so that those of Barman in Python are found
// as well.
package processes
