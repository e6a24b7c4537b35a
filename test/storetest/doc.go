// Package storetest starts the object stores that tests of this project speak to: MinIO for S3, Azurite for Azure Blob
// Storage, fake-gcs-server for Google Cloud Storage, each on the loopback interface with a free port and a scratch
// directory. A Proxy in front of one makes it fail at the request that a test names.
//
// A store starts when the first test of a process asks for it, serves all tests of that process, each with a bucket of its
// own, and ends with the process however that ends. A store that is not installed fails the test with the command that
// installs it; nothing is skipped.
package storetest
