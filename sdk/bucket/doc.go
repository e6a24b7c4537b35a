// Package bucket makes an object store a sink: a provider implements the small
// interface Store, and New turns it into an sdk.Sink. What all stores need is
// here: the names of objects in a bucket, uploads in parallel parts of bounded
// memory, downloads by parallel ranges, checksums, retries with back-off,
// timeouts, a limit of bandwidth, and errors for people.
//
// # Names and keys
//
// A pipeline calls an object what it is called in the server's directory
// ("base/<id>/data/base.tar.zst", "wals/<hash>/<segment>"). In a bucket its key
// is that of Python Barman's cloud commands ("<prefix>/base/<id>/data.tar.zst",
// "<prefix>/wals/<hash>/<segment>.zst"). Layout maps one to the other.
//
// # Errors
//
// The kind of an error says what to do; its text names the bucket, the key and
// the next step for people:
//
//	NotFound     the object does not exist; from List: the bucket does not exist
//	Exists       another object has the name
//	Denied       credentials are missing, wrong or expired, or lack a permission
//	Invalid      the settings cannot work: a missing bucket, a wrong region, a bad name
//	Unavailable  the store did not answer, or said that it cannot now; tried for as long as the settings say
//	Corrupt      what the store returned is not what was stored
//	Cancelled    the context ended
//
// A List with any prefix, stopped at its first object, tests whether a bucket
// can be used: nil, or an error of kind Unavailable, Denied, Invalid, or NotFound
// for a bucket that does not exist.
package bucket
