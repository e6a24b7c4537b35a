// Package sdktest checks that a plugin keeps the contract of package sdk. A
// plugin's own test is one call:
//
//	func TestConformance(t *testing.T) {
//		sdktest.Sink(t, sdktest.Binary(t, "."), sdktest.Config{"path": t.TempDir()})
//	}
//
// The plugin is compiled and run as barman runs it: a process of its own, the
// control connection, real lanes. Each clause of the contract is one named
// check, and a check that fails says which clause is broken. Nothing is mocked,
// so a plugin in any language can be checked by the path of its binary.
//
// The checks are values (see Check and Perform), so that a command can run them
// against a store that only its user can reach.
package sdktest
