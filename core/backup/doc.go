// Package backup takes base backups: it registers a backup in the catalogue,
// runs the server's backup pipeline, and makes the backup DONE once its data is
// durable and all WAL from its begin to its end is archived.
//
// The order of writes: backup.info says EMPTY, then STARTED, before any data is
// stored; the data and its receipts are durable before backup.info says
// WAITING_FOR_WALS; the WAL is archived before it says DONE. A process that is
// killed in between leaves a backup that never says more than is true, and that
// the next run marks as FAILED.
package backup
