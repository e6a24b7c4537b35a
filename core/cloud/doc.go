// Package cloud works on a server's place in a bucket without a configuration
// file and without a catalogue on disk: what the barman-cloud programs do. All
// that is known of backups and WAL is what the bucket holds.
//
// The bucket is a sink like any other, with the same names of objects as on disk;
// its keys, and how a provider is spoken to, are the sink's affair.
package cloud
