// Command barman-plugin-transform-compress is the transform "compress": it
// compresses objects on their way to the store and decompresses them on the
// way back.
//
// An object is cut into chunks of 1 MiB that are compressed independently of
// each other, by as many workers as there are cores, and written in order:
//
//   - zstd: one frame for each chunk, with its content size and checksum;
//   - gzip: one member for each chunk, with its compressed size in an extra
//     field (RFC 1952, section 2.3.1.1);
//   - xz: one stream for each chunk, with its sizes in the block's header;
//   - bzip2: one stream for each chunk, between marks made of empty streams;
//   - snappy: one stream, with each chunk's compressed size in a skippable chunk
//     before it;
//   - lz4: one frame with independent blocks of 256 KiB, each with a checksum.
//
// The tools of these names read all of them as they are. So that a stream cut
// off between two frames, members or streams is not taken for a shorter complete
// one, every one but the last says that another one follows: zstd by an empty raw
// block at the beginning, gzip and snappy by a flag in the extra data, xz by the
// size of the block's header, bzip2 by the mark before it. An lz4 frame has its
// end mark.
//
// Reading finds the frames, members or blocks without decompressing them and
// gives them to the workers, too. Whatever cannot be taken apart so, such as
// the large frames of the zstd tool, is decompressed as a stream.
//
// The codec custom hands whole objects to commands of the user's.
package main
