// Package plugintest gives the tests of the core real plugins: it builds them
// once for a test binary, starts them, and opens servers that use them.
package plugintest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envBuilt names the directory with the plugins that Main built, to child
// processes of the test binary as well.
const envBuilt = "BARMAN_TEST_PLUGINS"

// Main builds the plugins of the given source directories, from the root of the
// repository, and runs the tests. What "make test" has built before
// ($BARMAN_BIN) is used as it is. It returns the exit code.
func Main(m *testing.M, sources ...string) int {
	bin, err := os.MkdirTemp("", "barman-plugins-")
	if err == nil {
		defer func() { _ = os.RemoveAll(bin) }() // what stays behind is in the directory for temporary files
		err = build(bin, sources)
	}
	if err == nil {
		err = os.Setenv(envBuilt, bin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Directories is where the plugins are.
func Directories() []string {
	directories := []string{os.Getenv(envBuilt)}
	if bin := os.Getenv("BARMAN_BIN"); bin != "" {
		directories = append(directories, bin)
	}
	return directories
}

func build(bin string, sources []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	for _, source := range sources {
		if strings.HasPrefix(source, "plugins/") && os.Getenv("BARMAN_BIN") != "" {
			continue
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(bin, binary(filepath.Base(source))), "./"+source)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", source, err, out)
		}
	}
	return nil
}

// binary is what a plugin's binary is called: a directory whose name begins with
// no kind is a transform's.
func binary(source string) string {
	for _, kind := range []string{"source-", "sink-", "hook-"} {
		if strings.HasPrefix(source, kind) {
			return "barman-plugin-" + source
		}
	}
	return "barman-plugin-transform-" + source
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
