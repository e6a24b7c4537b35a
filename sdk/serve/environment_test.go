package serve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProgramDoesNotSeeWhatIsForThePlugin(t *testing.T) {
	got := ChildEnvironment([]string{"PATH=/bin", "GOGC=50", "A=b=c", "GOMEMLIMIT=24MiB", "BARMAN_PLUGIN=x", "PLUGIN_MIN_PORT=1", "BARMAN_CONFIG_FILE=/etc/b.hcl", "GOGCX=1"})
	if diff := cmp.Diff([]string{"PATH=/bin", "A=b=c", "BARMAN_CONFIG_FILE=/etc/b.hcl", "GOGCX=1"}, got); diff != "" {
		t.Error(diff)
	}
}
