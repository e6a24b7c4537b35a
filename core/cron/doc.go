// Package cron does what has to be done every minute: it keeps WAL receivers
// running, archives WAL, and clears up after processes that were killed. What
// takes long runs in processes of its own, so that a run of cron is short.
package cron
