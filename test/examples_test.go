package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/test/pgtest"
)

// agePublicKey is a public key whose identity nobody has.
const agePublicKey = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// exampleSite puts what the example configurations name below a directory of the
// test.
type exampleSite struct {
	directory string
	places    *strings.Replacer
}

func newExampleSite(t *testing.T) exampleSite {
	t.Helper()
	directory := pgtest.Scratch(t)
	s := exampleSite{directory: directory, places: strings.NewReplacer(
		"/var/lib/barman", filepath.Join(directory, "home"),
		"/etc/barman", directory,
		"/mnt/nas", filepath.Join(directory, "nas"),
		"/opt/barman-plugins", filepath.Join(pgtest.BarmanBin(t), "examples"),
	)}
	if err := os.WriteFile(filepath.Join(directory, "age-recipients.txt"), []byte(agePublicKey+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// load writes the configuration of an example and returns its path. An example
// without a home gets one.
func (s exampleSite) load(t *testing.T, example string) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	written := s.places.Replace(string(inBuckets(t, text)))
	if filepath.Ext(example) == ".conf" {
		written = strings.Replace(written, "barman_user = barman", "barman_user =", 1)
	} else if !strings.Contains(written, "barman {") {
		written = "barman {\n  home = \"" + filepath.Join(s.directory, "home") + "\"\n}\n" + written
	}
	path := filepath.Join(s.directory, filepath.Base(example))
	if err := os.WriteFile(path, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func exampleConfigurations(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"../examples/*.hcl", "../examples/*.conf"} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatalf("examples %s: %v, error %v", pattern, some, err)
		}
		found = append(found, some...)
	}
	return found
}

func TestEveryExampleConfigurationIsValid(t *testing.T) {
	site := newExampleSite(t)
	for _, example := range exampleConfigurations(t) {
		t.Run(filepath.Base(example), func(t *testing.T) {
			path := site.load(t, example)
			loaded, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Warnings) > 0 {
				t.Errorf("warnings: %v", loaded.Warnings)
			}
			// Also asks every plugin about its settings.
			r := pgtest.Run(t, exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman"), "-c", path, "config", "validate"))
			if r.Code != 0 {
				t.Errorf("barman config validate: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

func TestTheEncryptedExampleSaysWhichRecipientIsBad(t *testing.T) {
	site := newExampleSite(t)
	if err := os.WriteFile(filepath.Join(site.directory, "age-recipients.txt"), []byte(agePublicKey+"\nalice\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := site.load(t, "../examples/encrypted.hcl")
	r := pgtest.Run(t, exec.CommandContext(t.Context(), filepath.Join(pgtest.BarmanBin(t), "barman"), "-c", path, "config", "validate"))
	if r.Code != 3 {
		t.Errorf("exit code %d, want 3", r.Code)
	}
	for _, want := range []string{"encrypted.hcl line ", "Invalid recipient", `"alice" does not begin with age1`} {
		if !strings.Contains(r.Stdout+r.Stderr, want) {
			t.Errorf("it does not say %q:\n%s%s", want, r.Stdout, r.Stderr)
		}
	}
}

func TestTheReadmeOfTheExamplesListsThemAll(t *testing.T) {
	text, err := os.ReadFile("../examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, match := range regexp.MustCompile(`\]\(([a-z0-9-]+\.(?:hcl|conf))\)`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, match[1])
	}
	for _, example := range exampleConfigurations(t) {
		if name := filepath.Base(example); !strings.Contains(strings.Join(listed, " "), name) {
			t.Errorf("%s is missing", name)
		}
	}
}
