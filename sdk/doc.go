// Package sdk is what the author of a plugin imports: the interfaces of the
// four kinds of stage, the objects that flow between them, the closed set of
// error kinds, and the Serve functions that turn an implementation into a
// plugin process.
//
// A plugin's author deals with io.Reader, io.Writer and contexts. Lanes,
// framing, acknowledgements, checksums, progress and the control connection
// belong to the SDK. A plugin binary is named barman-plugin-<kind>-<name> and
// its main function is one call:
//
//	func main() {
//		sdk.ServeTransform(sdk.Info{Name: "rot13", Doc: "Rotates letters."}, open)
//	}
package sdk
