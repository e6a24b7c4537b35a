// Package schema describes the settings of a plugin as data, decodes them, and
// carries what a plugin finds wrong with them back to the core.
//
// A plugin written in Go says everything with one struct:
//
//	type Config struct {
//		Codec string          `hcl:"codec"          doc:"gzip, lz4 or zstd."`
//		Level *int            `hcl:"level,optional" doc:"Compression level of the codec."`
//		Chunk schema.ByteSize `hcl:"chunk,optional" default:"1MiB" doc:"Bytes compressed at once."`
//		Retry *Retry          `hcl:"retry,block"    doc:"How often to try again."`
//	}
//
// Of reads the Schema off that struct. The core holds the user's HCL against
// the Schema, reports mistakes with file, line and column, and sends the values
// as a JSON object, which Decode turns back into the struct. Schema documents
// the JSON that a plugin in another language has to produce and understand.
package schema
