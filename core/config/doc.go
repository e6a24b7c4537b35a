// Package config reads Barman's configuration: HCL files become typed values,
// and whatever is wrong with them becomes diagnostics with file, line and
// column. All of them are collected before anything is reported.
//
// Loading needs no plugin. The body of a stage is kept as it is written and
// decoded later, by Stage.Decode, against the schema that its plugin describes
// itself with.
//
// The blocks that belong to the core are described by the tagged structs of
// definitions.go, which decoding, Effective and ReferenceMarkdown all share.
package config
