package serve

import "strings"

// ChildEnvironment is what a program gets that a plugin runs for its user: the
// environment that the plugin inherited, without what was meant for the plugin
// itself.
func ChildEnvironment(inherited []string) []string {
	var env []string
	for _, entry := range inherited {
		name, _, _ := strings.Cut(entry, "=")
		// Limits of the garbage collector, and what go-plugin begins a plugin with.
		if name != "GOMEMLIMIT" && name != "GOGC" && name != "BARMAN_PLUGIN" && !strings.HasPrefix(name, "PLUGIN_") {
			env = append(env, entry)
		}
	}
	return env
}
