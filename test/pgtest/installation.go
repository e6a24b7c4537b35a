package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Installation is a PostgreSQL server on this machine.
type Installation struct {
	Major int
	Bin   string // directory of initdb and postgres; client programs are in Debian's alone, see Tool
}

// Majors are the servers that the suite runs against: the oldest, and the newest two.
func Majors() []int { return []int{15, 17, 18} }

// Versions returns the installation of every one of Majors.
func Versions(t testing.TB) []Installation {
	t.Helper()
	var all []Installation
	for _, major := range Majors() {
		all = append(all, Find(t, major))
	}
	return all
}

// EachVersion runs the test once for each of Majors, as a subtest of the major's name.
func EachVersion(t *testing.T, test func(t *testing.T, major int)) {
	t.Helper()
	for _, v := range Versions(t) {
		t.Run(strconv.Itoa(v.Major), func(t *testing.T) { test(t, v.Major) })
	}
}

// Find returns the installation of one major version, Debian's before the one that scripts/install-deps put in the cache.
func Find(t testing.TB, major int) Installation {
	t.Helper()
	dirs := []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
		filepath.Join(cacheDir(), "postgresql", strconv.Itoa(major), "bin"),
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return Installation{Major: major, Bin: dir}
		}
	}
	t.Fatalf("PostgreSQL %d is in none of %q: run \"make deps\" to install it", major, dirs)
	return Installation{}
}

// Tool returns the path of a PostgreSQL client program (pgbench, pg_verifybackup, pg_basebackup, …) that is at least of the
// given major version if there is one, else of the newest version there is.
func Tool(t testing.TB, major int, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	version := func(path string) int {
		v, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return v
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	for _, path := range found {
		if version(path) >= major {
			return path
		}
	}
	if len(found) > 0 {
		return found[len(found)-1]
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	t.Fatalf("%s is not on this machine: run \"make deps\" to install it", name)
	return ""
}

// cacheDir is where scripts/install-deps keeps servers that Debian does not carry; the two choose alike.
func cacheDir() string {
	if dir := os.Getenv("BARMAN_TEST_CACHE"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/cache/barman-test"
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "barman-test")
	}
	return filepath.Join(os.Getenv("HOME"), ".cache", "barman-test")
}
