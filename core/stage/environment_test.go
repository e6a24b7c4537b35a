package stage

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// onlyEnvironment replaces the environment for the time of a test.
func onlyEnvironment(t *testing.T, names ...string) {
	t.Helper()
	before := os.Environ()
	os.Clearenv()
	t.Cleanup(func() {
		os.Clearenv()
		for _, entry := range before {
			name, value, _ := strings.Cut(entry, "=")
			if err := os.Setenv(name, value); err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range names {
		if err := os.Setenv(name, "value=of "+name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPluginSeesOnlyWhatItsKindNeeds(t *testing.T) {
	onlyEnvironment(t, "PATH", "HOME", "TZ", "TMPDIR", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
		"PGPASSWORD", "PGPASSFILE", "BARMAN_BACKUP_ID", "HTTPS_PROXY", "SSH_AUTH_SOCK", "LD_PRELOAD", "GOMEMLIMIT", "GODEBUG", "VAULT_TOKEN", "PATHOLOGICAL")
	everyone := []string{"HOME", "PATH", "TMPDIR", "TZ"}
	for label, more := range map[string][]string{
		"source pgbasebackup": {"PGPASSFILE", "PGPASSWORD", "SSH_AUTH_SOCK"},
		"transform compress":  nil,
		"transform s3":        nil,
		"sink posix":          {"HTTPS_PROXY"},
		"sink s3":             {"AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"},
		"sink azure":          {"AZURE_STORAGE_KEY", "HTTPS_PROXY"},
		"sink gcs":            {"GOOGLE_APPLICATION_CREDENTIALS", "HTTPS_PROXY"},
		"hook acme":           {"BARMAN_BACKUP_ID", "HTTPS_PROXY"},
		"hook script": {"AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "PGPASSWORD", "PGPASSFILE", "BARMAN_BACKUP_ID",
			"HTTPS_PROXY", "SSH_AUTH_SOCK", "LD_PRELOAD", "GODEBUG", "VAULT_TOKEN", "PATHOLOGICAL"},
	} {
		kind, name, _ := strings.Cut(label, " ")
		var got []string
		for _, entry := range environment(Plugin{Kind: kind, Name: name}) {
			variable, value, _ := strings.Cut(entry, "=")
			if variable == "GOMEMLIMIT" || variable == "GOGC" {
				continue
			}
			if value != "value=of "+variable {
				t.Errorf("%s: %s", label, entry)
			}
			got = append(got, variable)
		}
		slices.Sort(got)
		want := append(slices.Clone(everyone), more...)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
	}
}

func TestEveryPluginIsToldOfTheMemoryLimitOnce(t *testing.T) {
	onlyEnvironment(t, "GOMEMLIMIT", "GOGC")
	for _, p := range []Plugin{{Kind: "sink", Name: "s3"}, {Kind: "hook", Name: "script"}} {
		if diff := cmp.Diff(memoryLimits(p.Kind), environment(p)); diff != "" {
			t.Errorf("%+v: %s", p, diff)
		}
	}
}
