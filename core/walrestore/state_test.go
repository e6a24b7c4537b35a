package walrestore

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheFilesOfADataDirectoryTellWhatItsPostgreSQLDoes(t *testing.T) {
	for what, c := range map[string]struct {
		files map[string]string
		want  State
	}{
		"empty":                {nil, Elsewhere},
		"a signal alone":       {map[string]string{"recovery.signal": ""}, Elsewhere},
		"running":              {map[string]string{"PG_VERSION": "17"}, Elsewhere},
		"recovering":           {map[string]string{"PG_VERSION": "17", "recovery.signal": ""}, ArchiveRecovery},
		"standby":              {map[string]string{"PG_VERSION": "17", "standby.signal": ""}, Standby},
		"both":                 {map[string]string{"PG_VERSION": "17", "standby.signal": "", "recovery.signal": ""}, Standby},
		"11, recovering":       {map[string]string{"PG_VERSION": "11", "recovery.conf": "restore_command = 'x'\n"}, ArchiveRecovery},
		"11, standby":          {map[string]string{"PG_VERSION": "11", "recovery.conf": "restore_command = 'x'\nstandby_mode = 'on' # yes\n"}, Standby},
		"11, standby, bare":    {map[string]string{"PG_VERSION": "11", "recovery.conf": "  STANDBY_MODE true"}, Standby},
		"11, standby off":      {map[string]string{"PG_VERSION": "11", "recovery.conf": "standby_mode = off\n"}, ArchiveRecovery},
		"11, standby, comment": {map[string]string{"PG_VERSION": "11", "recovery.conf": "#standby_mode = on\n"}, ArchiveRecovery},
	} {
		directory := t.TempDir()
		for name, content := range c.files {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := StateOf(directory); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}
