// Command barman-plugin-sink-s3 is the sink "s3": it stores objects in a bucket of
// Amazon S3, or of a store that speaks its protocol. What all buckets have in
// common is package sdk/bucket; here is how one request is made.
//
// # Checksums
//
// Every request that carries bytes states their CRC-32C, which the store
// compares before it answers. The payload is not hashed for the signature as
// well: SHA-256 of a WAL segment takes longer than storing it. A store without
// CRC-32C gets signed payloads in its place.
//
// # Other stores
//
// What a store does not implement it says (501, or an error that names the
// header), and the request is made again without: first without If-None-Match,
// then without CRC-32C. What it took to succeed is kept for the process.
package main
