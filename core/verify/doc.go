// Package verify tells whether a stored backup is still what was taken: every
// file and its checksum against PostgreSQL's manifest, every stored object
// against the receipts of the backup, and the WAL that it needs.
//
// A backup of plain files on this machine is read where it is, several files at
// once. Whatever else, tar files, compressed, encrypted or in a store elsewhere,
// comes through the pipeline that a recovery would use, and takes no space on
// the way. In memory there are some 50 bytes for each file.
//
// What is found is never opened by a name that the manifest gives: files are
// looked for where the backup is, and then in the manifest.
package verify
