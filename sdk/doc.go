// Package sdk is what the author of a plugin implements: the interfaces of the
// four kinds of stage (source, transform, sink, hook), the objects that flow
// between them, and the closed set of error kinds. Package sdk/serve turns an
// implementation into a plugin process, sdk/schema describes its settings,
// sdk/wal names WAL, and sdk/sdktest checks that it keeps the contract.
//
// A plugin's author deals with io.Reader, io.Writer and contexts. Lanes,
// framing, acknowledgements, checksums, progress and the control connection
// belong to the SDK. A plugin binary is named barman-plugin-<kind>-<name> and
// its main function is one call:
//
//	func main() {
//		serve.Transform(sdk.Info{Name: "rot13", Doc: "Rotates letters."}, open)
//	}
package sdk
