// Package removal deletes backups, with the WAL that nobody needs any more then,
// and keeps some from being deleted.
//
// A deletion survives being killed anywhere. Once the hooks have agreed, a note
// beside the backup says that it is being deleted and backup.info says FAILED, so
// that nobody takes what is left of it for a backup. Then its data goes, then the
// WAL, then its entry in the catalogue. A later run goes on where an earlier one
// ended.
package removal
