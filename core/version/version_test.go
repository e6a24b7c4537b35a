package version

import (
	"runtime/debug"
	"testing"
)

func TestLinkerStampWinsOverBuildInfo(t *testing.T) {
	stamped := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}}
	devel := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	for _, tc := range []struct {
		version, commit string
		info            *debug.BuildInfo
		want            string
	}{
		{"v2.0.0", "fedcba9876543210", stamped, "v2.0.0 (fedcba987654)"},
		{"dev", "", stamped, "v1.2.3 (0123456789ab)"},
		{"dev", "abc", devel, "dev (abc)"},
		{"dev", "", devel, "dev"},
		{"dev", "", nil, "dev"},
	} {
		if got := describe(tc.version, tc.commit, tc.info); got != tc.want {
			t.Errorf("describe(%q, %q): got %q, want %q", tc.version, tc.commit, got, tc.want)
		}
	}
}
