// Package proto is the generated code of the control connection, stage.proto. Only sdk/internal/wire uses it: a plugin's author
// never sees protobuf.
package proto
