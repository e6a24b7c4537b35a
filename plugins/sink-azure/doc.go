// Command barman-plugin-sink-azure is the sink "azure": it stores objects as block
// blobs in a container of Azure Blob Storage, under the keys of Python Barman's
// cloud commands.
//
// What is the same for all providers is package sdk/bucket's; here is one container:
// where it is (address.go), who may use it (credential.go), the requests (store.go,
// upload.go, delete.go), and what refusals mean (fault.go).
//
// # Uploads
//
// Blocks are staged side by side and become a blob when their list is committed;
// until then nothing is visible. Blocks that never are, because the process was
// killed, Azure forgets after a week. An upload that fails leaves them to that:
// committing an empty list and deleting the blob, as Python Barman does, would show
// an empty blob for a moment, for ever if the process dies in between, and destroy a
// blob that is to be replaced.
package main
