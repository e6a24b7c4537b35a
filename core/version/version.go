// Package version says which build of barman this is.
package version

import "runtime/debug"

// Version is the release, "dev" outside of one. Commit is the git revision the binary was built from, empty when unknown.
// The linker sets both (see the Makefile); nothing else writes them.
var (
	Version = "dev"
	Commit  = ""
)

// Compatible is the release of Barman in Python whose command line, output and catalogue are this program's.
const Compatible = "3.17.0"

// String returns "1.2.3 (0123456789ab)", taking from the Go toolchain's own stamp what the linker was not told: that is
// the case with go install.
func String() string {
	info, _ := debug.ReadBuildInfo()
	return describe(Version, Commit, info)
}

func describe(version, commit string, info *debug.BuildInfo) string {
	if info != nil {
		if version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if commit == "" && s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	if commit == "" {
		return version
	}
	return version + " (" + commit[:min(len(commit), 12)] + ")"
}
