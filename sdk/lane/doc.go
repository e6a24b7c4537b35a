// Package lane moves objects from one stage to the next, process to process.
//
// A lane is a unix stream socket. The receiver listens, the sender connects;
// objects flow forwards, acknowledgements backwards. Where both ends can, the
// bytes of large objects go through a ring: a small sealed memory file that
// both map, created by the sender and passed over the socket. The socket then
// carries only 16-byte notices that a slot is filled, or free again, and a hop
// costs one copy.
//
// This package knows nothing of what objects mean: their headers,
// acknowledgements and abort reasons are opaque bytes to it. The format is
// specified in docs/lane-protocol.md; testdata holds test vectors for
// implementations in other languages.
//
// What it guarantees: every object arrives whole, in order, with the size and
// CRC-32C (Castagnoli) that its sender computed, or not at all; and a lane that
// ends without CLOSE, for whatever reason, is an error at both ends.
package lane
