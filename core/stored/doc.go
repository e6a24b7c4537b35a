// Package stored finds out how a store holds a backup, whatever the
// configuration says today, and what undoes it: for whoever reads backups back.
package stored
