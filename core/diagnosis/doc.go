// Package diagnosis tells everything about an installation: settings and where
// they were written, what the servers say of themselves, backups and WAL. It uses
// the names of Barman in Python, whatever the configuration is written in, since
// other programs look for them.
package diagnosis
