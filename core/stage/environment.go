package stage

import (
	"os"
	"strings"
)

// Every plugin sees these, none of them a secret.
var everyone = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// A plugin that talks to something sees what its libraries read for that:
// variables with these prefixes, by kind and, for sinks, by name.
var prefixes = map[string][]string{
	"source":     {"PG", "SSL_CERT_", "KRB5", "SSH_AUTH_SOCK"},
	"sink":       {"SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"},
	"sink s3":    {"AWS_"},
	"sink azure": {"AZURE_"},
	"sink gcs":   {"GOOGLE_", "CLOUDSDK_"},
	"hook":       {"BARMAN_"},
}

// memoryLimits keeps the garbage collectors of a pipeline's processes together
// below what a small container has. They bound garbage, not what is in use.
const (
	memoryLimit = "GOMEMLIMIT=24MiB"
	gcPercent   = "GOGC=50"
)

// environment is all that a plugin sees.
func environment(p Plugin) []string {
	env := []string{memoryLimit, gcPercent}
	wanted := append(append([]string(nil), prefixes[p.Kind]...), prefixes[p.Kind+" "+p.Name]...)
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if visible(name, wanted) {
			env = append(env, entry)
		}
	}
	return env
}

func visible(name string, wanted []string) bool {
	for _, exact := range everyone {
		if name == exact {
			return true
		}
	}
	for _, prefix := range wanted {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
