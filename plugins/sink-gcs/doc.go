// Command barman-plugin-sink-gcs is the sink "gcs": it stores objects in a bucket of
// Google Cloud Storage, under the keys of Python Barman's cloud commands.
//
// What is the same for all providers is package sdk/bucket's; here is one bucket:
// where it is (address.go), who may use it (client.go), the requests (store.go,
// upload.go, delete.go), and what refusals mean (fault.go).
//
// # Uploads
//
// An object of more than one part is a resumable upload: its parts are sent one after
// the other from memory, and the last one makes the object visible. Google's library
// has no call for that which leaves it to the caller when to try again and what to
// keep in memory, so upload.go speaks the protocol itself ("Resumable uploads" in
// Google's documentation), as delete.go does for batches, which the library does not
// know. What is never completed Google forgets after a week.
package main
