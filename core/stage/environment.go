package stage

import (
	"os"
	"strings"
)

// Every plugin sees these, none of them a secret.
var everyone = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// A plugin that talks to something sees what its libraries read for that:
// variables with these prefixes, by kind and, for sinks, by name. The scripts of
// the hook "script" are the user's own and see all that barman sees, as those of
// Barman in Python do: what credentials they need, only they know.
var prefixes = map[string][]string{
	"source":     {"PG", "SSL_CERT_", "KRB5", "SSH_AUTH_SOCK"},
	"sink":       {"SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"},
	"sink s3":    {"AWS_"},
	"sink azure": {"AZURE_", "IDENTITY_", "IMDS_ENDPOINT", "MSI_"},
	"sink gcs":   {"GOOGLE_", "CLOUDSDK_", "GCE_METADATA_HOST", "STORAGE_EMULATOR_HOST"},

	"hook":        {"BARMAN_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"},
	"hook script": {""},
}

// The garbage collectors of a pipeline's processes together stay below what a
// small container has. Limits bound garbage, not what is in use. A transform that
// compresses on several cores uses the most: with less room than this it spends
// half its time collecting.
//
// Below its limit a process does not collect at all: most of them live for one WAL
// segment, of whose time collections would take a tenth.
func memoryLimits(kind string) []string {
	if kind == "transform" {
		return []string{"GOMEMLIMIT=48MiB", "GOGC=off"}
	}
	return []string{"GOMEMLIMIT=24MiB", "GOGC=off"}
}

// environment is all that a plugin sees.
func environment(p Plugin) []string {
	env := memoryLimits(p.Kind)
	wanted := append(append([]string(nil), prefixes[p.Kind]...), prefixes[p.Kind+" "+p.Name]...)
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if visible(name, wanted) && !limits(name) {
			env = append(env, entry)
		}
	}
	return env
}

// limits tells of the variables that memoryLimits sets.
func limits(name string) bool { return name == "GOMEMLIMIT" || name == "GOGC" }

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
